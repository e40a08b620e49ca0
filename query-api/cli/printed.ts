/**
 * Makes a text from outside safe for a terminal. Control characters could move the cursor or change the title, so their
 * codes are printed instead. Pure.
 */
export function printed(text: string, maxCharacters = 200): string {
  const shown = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, character => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return shown.length > maxCharacters ? `${shown.slice(0, maxCharacters - 1)}…` : shown;
}

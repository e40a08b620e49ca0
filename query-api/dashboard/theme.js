/** Sets light or dark: the viewer's choice, or the setting of the system. It runs before the page is painted, so it is not a module. */
{
  const chosen = localStorage.getItem('theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;

  document.addEventListener('click', event => {
    if (!(event.target instanceof Element && event.target.closest('#theme'))) return;
    const root = document.documentElement;
    const isDark = root.dataset.theme
      ? root.dataset.theme === 'dark'
      : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = isDark ? 'light' : 'dark';
    localStorage.setItem('theme', root.dataset.theme);
    document.dispatchEvent(new Event('theme'));
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () =>
    document.dispatchEvent(new Event('theme')),
  );
}

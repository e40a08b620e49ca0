/** A section of a report in Markdown, which is written anew while the rest stays as it is. */

/** As it stands in the report, by its title line (`## …`); empty: there is none. */
export function sectionIn(report: string, title: string): string {
  const start = report.indexOf(`${title}\n`);
  if (start === -1) return '';
  const next = report.indexOf('\n## ', start + 1);
  return next === -1 ? report.slice(start) : report.slice(start, next + 1);
}

/** The report with this section, which begins with its title line, in place of an earlier one, or behind all. */
export function withSection(report: string, section: string): string {
  if (section === '') return report;
  const earlier = sectionIn(report, section.split('\n', 1)[0] ?? '');
  if (earlier === '') return `${report.trimEnd()}\n\n${section.trimEnd()}\n`;
  const [before = '', after = ''] = report.split(earlier);
  return `${before}${section.trimEnd()}\n${after === '' ? '' : `\n${after}`}`;
}

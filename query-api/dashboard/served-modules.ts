/** Declares the modules that the dashboard loads by their URL. Only the type check reads this file; no page loads it. */
declare module '*/uPlot.esm.js' {
  export { default } from 'uplot';
}

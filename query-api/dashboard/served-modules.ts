/** Modules that the dashboard loads by their URL, for the type check alone: no page loads this file. */
declare module '*/uPlot.esm.js' {
  export { default } from 'uplot';
}

/** A committed position of a group: the offset of the next record to process, and its metadata. */
export interface Committed {
  readonly offset: number;
  readonly metadata: string;
}

/** How full the disks are that the store writes to. */
export interface Disk {
  readonly name: string;
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

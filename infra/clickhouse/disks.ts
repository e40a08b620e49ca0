/** Reads how full the disks are that ClickHouse writes to. */
export interface Disk {
  readonly name: string;
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

/** A remote disk (S3) has no size that could be reported. */
export const disksSql = `SELECT name, toFloat64(unreserved_space) AS freeBytes, toFloat64(total_space) AS sizeBytes
  FROM system.disks WHERE NOT is_remote SETTINGS max_execution_time=2`;

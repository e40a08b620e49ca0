/** Reads how full the disks are that ClickHouse writes to. */
export interface Disk {
  readonly name: string;
  readonly freeBytes: number;
  readonly sizeBytes: number;
}

/** A disk elsewhere (S3) has no end that could be told. */
export const disksSql = `SELECT name, toFloat64(unreserved_space) AS freeBytes, toFloat64(total_space) AS sizeBytes
  FROM system.disks WHERE NOT is_remote SETTINGS max_execution_time=2`;

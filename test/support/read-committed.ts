/** The second opinion: what Apache Kafka's own client reads, read_committed, of a topic that our client wrote. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ensureBrokerJars } from '../../infra/embedded/broker-jars.ts';
import { findJava } from '../../infra/embedded/java.ts';
import { javaProgram } from './java-program.ts';
import { readInSharedJvm } from './many-brokers.ts';

export interface ReadLine {
  readonly partition: number;
  readonly offset: number;
  /** Values of the header asked for, joined by commas. */
  readonly kind: string;
  readonly line: string;
}

export async function readCommitted(brokers: string, topic: string, header = 'kind'): Promise<ReadLine[]> {
  const shared = await readInSharedJvm(brokers, topic, header);
  return linesOf(shared ?? (await readInOwnJvm(brokers, topic, header)));
}

async function readInOwnJvm(brokers: string, topic: string, header: string): Promise<string> {
  const [java, jars] = await Promise.all([findJava(), ensureBrokerJars({ onFetch: message => console.log(message) })]);
  const program = await javaProgram('ReadCommitted', { java, jars });
  const { stdout } = await promisify(execFile)(java, [...program, brokers, topic, header], { maxBuffer: 1 << 30 });
  return stdout;
}

function linesOf(printed: string): ReadLine[] {
  return printed
    .split('\n')
    .filter(text => text !== '')
    .map(text => {
      const [partition, offset, kind = '', ...line] = text.split('\t');
      return { partition: Number(partition), offset: Number(offset), kind, line: line.join('\t') };
    });
}

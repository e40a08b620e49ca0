/**
 * Files of unit tests share a process, and some need but one of the modules that replace functions of kafkajs. Here all of
 * them are loaded first, as in production, whichever file comes first.
 */
import '../../infra/kafka/client.ts';

import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Tells what a read_committed consumer of Apache Kafka's own client sees of a topic from its beginning to its end:
 * partition, offset, a header (`kind`, or the one that the third argument names, its values joined by commas) and, for
 * every line of the value, the line, separated by tabs. Where another header than `kind` is asked for, an empty value that
 * has it is one empty line. It is the second opinion on what our client wrote.
 */
public class ReadCommitted {
  public static void main(String[] args) {
    System.out.print(read(args[0], args[1], args.length > 2 ? args[2] : "kind"));
  }

  static String read(String brokers, String topic, String name) {
    Properties config = new Properties();
    config.put("bootstrap.servers", brokers);
    config.put("isolation.level", "read_committed");
    config.put("enable.auto.commit", "false");
    config.put("key.deserializer", ByteArrayDeserializer.class.getName());
    config.put("value.deserializer", ByteArrayDeserializer.class.getName());
    config.put("fetch.max.bytes", String.valueOf(64 << 20));
    StringBuilder out = new StringBuilder();
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config)) {
      List<TopicPartition> partitions = new ArrayList<>();
      consumer.partitionsFor(topic).forEach(p -> partitions.add(new TopicPartition(topic, p.partition())));
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
          List<String> values = new ArrayList<>();
          for (Header header : record.headers().headers(name)) values.add(new String(header.value()));
          String prefix = record.partition() + "\t" + record.offset() + "\t" + String.join(",", values) + "\t";
          String value = record.value() == null ? "" : new String(record.value(), java.nio.charset.StandardCharsets.UTF_8);
          for (String line : value.split("\n")) if (!line.isEmpty()) out.append(prefix).append(line).append('\n');
          if (value.isEmpty() && !values.isEmpty() && !name.equals("kind")) out.append(prefix).append('\n');
        }
      }
    }
    return out.toString();
  }
}

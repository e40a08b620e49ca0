import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * What Kafka's own tools would do to a cluster, in one process that stays: each line of standard input is
 * `number command arguments…`, and is answered with `number ok words…` or `number error message`. `watch` prints
 * `moved topic partition from to` whenever a partition has another leader. It ends with its standard input.
 *
 * `read` is the second opinion on what our client wrote: Kafka's own consumer, read_committed, from the beginning to the
 * end. Takes the brokers as its argument.
 */
public class ClusterControl {
  static String brokers;
  static Admin admin;

  public static void main(String[] args) throws Exception {
    brokers = args[0];
    admin = Admin.create(Map.of("bootstrap.servers", brokers, "request.timeout.ms", "4000", "default.api.timeout.ms", "8000",
        "socket.connection.setup.timeout.ms", "2000", "reconnect.backoff.max.ms", "500"));
    say("ready");
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = in.readLine()) != null; ) {
      String[] words = line.split(" ");
      inBackground(() -> answer(words));
    }
    System.exit(0);
  }

  static void answer(String[] words) {
    String[] args = Arrays.copyOfRange(words, 2, words.length);
    try {
      say(words[0] + " ok " + String.join(" ", run(words[1], args)));
    } catch (Throwable error) {
      Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
      say(words[0] + " error " + String.valueOf(cause).replace('\n', ' '));
    }
  }

  static List<String> run(String command, String[] args) throws Exception {
    switch (command) {
      case "describe": return partitions(Arrays.asList(args)).stream().map(ClusterControl::shown).toList();
      case "nodes": return admin.describeCluster().nodes().get().stream().map(Node::idString).sorted().toList();
      case "controller": return List.of("" + admin.describeMetadataQuorum().quorumInfo().get().leaderId());
      case "group":
        return List.of(admin.describeConsumerGroups(List.of(args)).all().get().get(args[0]).coordinator().idString());
      case "transactions": {
        List<String> found = new ArrayList<>();
        for (var entry : admin.describeTransactions(List.of(args)).all().get().entrySet())
          found.add(entry.getKey() + ":" + entry.getValue().coordinatorId());
        return found;
      }
      case "setting": {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, args[0]);
        return List.of(admin.describeConfigs(List.of(topic)).all().get().get(topic).get(args[1]).value());
      }
      case "assign": {
        Map<TopicPartition, Optional<NewPartitionReassignment>> wanted = new HashMap<>();
        for (int i = 1; i < args.length; i++) {
          String[] part = args[i].split(":");
          List<Integer> replicas = Arrays.stream(part[1].split("\\+")).map(Integer::valueOf).toList();
          wanted.put(new TopicPartition(args[0], Integer.parseInt(part[0])), Optional.of(new NewPartitionReassignment(replicas)));
        }
        admin.alterPartitionReassignments(wanted).all().get();
        return List.of();
      }
      case "reassigning": return List.of("" + admin.listPartitionReassignments().reassignments().get().size());
      case "elect": {
        Set<TopicPartition> wanted = new HashSet<>();
        for (TopicPartitionState state : partitions(Arrays.asList(args))) wanted.add(state.at());
        int moved = 0;
        // A partition that has its preferred leader already is an error to Kafka, not to us.
        for (var result : admin.electLeaders(ElectionType.PREFERRED, wanted).partitions().get().values())
          if (result.isEmpty()) moved++;
        return List.of("" + moved);
      }
      case "watch": {
        long everyMs = Long.parseLong(args[0]);
        List<String> topics = List.of(args).subList(1, args.length);
        inBackground(() -> watch(everyMs, topics));
        return List.of();
      }
      case "read": return List.of("" + read(args[0], args[1], args[2]));
      default: throw new IllegalArgumentException("no command " + command);
    }
  }

  record TopicPartitionState(TopicPartition at, TopicPartitionInfo info) {}

  static List<TopicPartitionState> partitions(List<String> topics) throws Exception {
    List<TopicPartitionState> found = new ArrayList<>();
    for (var topic : admin.describeTopics(topics).allTopicNames().get().values())
      for (TopicPartitionInfo info : topic.partitions())
        found.add(new TopicPartitionState(new TopicPartition(topic.name(), info.partition()), info));
    return found;
  }

  static String shown(TopicPartitionState state) {
    TopicPartitionInfo info = state.info();
    return state.at().topic() + ":" + info.partition() + ":" + leaderOf(info) + ":" + ids(info.isr()) + ":" + ids(info.replicas());
  }

  static int leaderOf(TopicPartitionInfo info) {
    return info.leader() == null ? -1 : info.leader().id();
  }

  static String ids(List<Node> nodes) {
    return nodes.stream().map(Node::idString).collect(Collectors.joining("+"));
  }

  static void watch(long everyMs, List<String> topics) {
    Map<TopicPartition, Integer> leaders = new HashMap<>();
    while (true) {
      try {
        Thread.sleep(everyMs);
        for (TopicPartitionState state : partitions(topics)) {
          int leader = leaderOf(state.info());
          Integer before = leaders.put(state.at(), leader);
          if (before != null && before != leader)
            say("moved " + state.at().topic() + " " + state.at().partition() + " " + before + " " + leader);
        }
      } catch (InterruptedException end) {
        return;
      } catch (Exception nobodyAnswers) {
        // The brokers are being killed: the next look tells.
      }
    }
  }

  /** Writes a line per line of the topic: partition, offset, append time, header, line, separated by tabs; returns the count. */
  static long read(String topic, String header, String file) throws IOException {
    Properties config = new Properties();
    config.put("bootstrap.servers", brokers);
    config.put("isolation.level", "read_committed");
    config.put("enable.auto.commit", "false");
    config.put("key.deserializer", ByteArrayDeserializer.class.getName());
    config.put("value.deserializer", ByteArrayDeserializer.class.getName());
    config.put("fetch.max.bytes", String.valueOf(16 << 20));
    long count = 0;
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config);
        BufferedWriter out = Files.newBufferedWriter(Path.of(file), StandardCharsets.UTF_8)) {
      List<TopicPartition> all = new ArrayList<>();
      consumer.partitionsFor(topic).forEach(p -> all.add(new TopicPartition(topic, p.partition())));
      consumer.assign(all);
      consumer.seekToBeginning(all);
      Map<TopicPartition, Long> ends = consumer.endOffsets(all);
      while (all.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
          List<String> values = new ArrayList<>();
          for (Header value : record.headers().headers(header)) values.add(new String(value.value(), StandardCharsets.UTF_8));
          String prefix = record.partition() + "\t" + record.offset() + "\t" + record.timestamp() + "\t" + String.join(",", values) + "\t";
          String value = record.value() == null ? "" : new String(record.value(), StandardCharsets.UTF_8);
          for (String line : value.split("\n")) {
            if (line.isEmpty()) continue;
            out.write(prefix);
            out.write(line);
            out.write('\n');
            count++;
          }
        }
      }
    }
    return count;
  }

  static void inBackground(Runnable work) {
    Thread thread = new Thread(work);
    thread.setDaemon(true);
    thread.start();
  }

  static synchronized void say(String line) {
    System.out.println(line);
    System.out.flush();
  }
}

import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.Properties;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.common.utils.Time;
import org.apache.logging.log4j.ThreadContext;

/**
 * Many brokers in one JVM, each with its own settings, ports and directory: what the JVM has compiled for one of them, it
 * has compiled for all.
 *
 * Prints the port on which it listens. A connection is the life of a broker: it begins with the path of the broker's
 * settings, and is answered with `started` or with `failed` and the reason. When the other side ends it, or dies, the
 * broker is shut down in good order, and then the connection is closed. A connection that begins with `read`, brokers,
 * topic and header, separated by tabs, is answered with what ReadCommitted reads, after a line with `read`. Ends with its
 * standard input.
 */
public class ManyBrokers {
  public static void main(String[] args) throws Exception {
    ServerSocket door = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
    System.out.println(door.getLocalPort());
    Thread accepting = new Thread(() -> {
      while (true) {
        try {
          Socket life = door.accept();
          new Thread(() -> run(life)).start();
        } catch (IOException error) {
          error.printStackTrace();
        }
      }
    });
    accepting.setDaemon(true);
    accepting.start();
    while (System.in.read() >= 0) continue;
    // Nothing of any broker is read again.
    Runtime.getRuntime().halt(0);
  }

  static void run(Socket life) {
    try (life) {
      BufferedReader in = new BufferedReader(new InputStreamReader(life.getInputStream(), StandardCharsets.UTF_8));
      PrintWriter out = new PrintWriter(new OutputStreamWriter(life.getOutputStream(), StandardCharsets.UTF_8), true);
      String[] asked = in.readLine().split("\t");
      if (asked[0].equals("read")) {
        String text = ReadCommitted.read(asked[1], asked[2], asked[3]);
        out.print("read\n" + text);
        out.flush();
        return;
      }
      Properties settings = new Properties();
      try (Reader file = Files.newBufferedReader(Path.of(asked[0]))) {
        settings.load(file);
      }
      // Threads inherit it, so each line of the log says whose it is.
      ThreadContext.put("broker", settings.getProperty("advertised.listeners"));
      KafkaRaftServer broker = new KafkaRaftServer(KafkaConfig.fromProps(settings, false), Time.SYSTEM);
      try {
        broker.startup();
        out.println("started");
        while (in.read() >= 0) continue;
      } catch (SocketException gone) {
        // A test file that was killed closes nothing in good order.
      } finally {
        broker.shutdown();
        broker.awaitShutdown();
      }
    } catch (Throwable error) {
      error.printStackTrace();
      try {
        life.getOutputStream().write(("failed " + String.valueOf(error).replace('\n', ' ') + "\n").getBytes(StandardCharsets.UTF_8));
      } catch (IOException gone) {
        // Nobody is there any more.
      }
    }
  }
}

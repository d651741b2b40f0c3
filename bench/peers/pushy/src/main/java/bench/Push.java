package bench;

import com.eatthepath.pushy.apns.ApnsClient;
import com.eatthepath.pushy.apns.ApnsClientBuilder;
import com.eatthepath.pushy.apns.DeliveryPriority;
import com.eatthepath.pushy.apns.PushType;
import com.eatthepath.pushy.apns.auth.ApnsSigningKey;
import com.eatthepath.pushy.apns.util.SimpleApnsPushNotification;
import com.google.gson.Gson;
import com.google.gson.annotations.SerializedName;
import io.netty.channel.epoll.EpollEventLoopGroup;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Semaphore;

/** Pushy on the work of the benchmarks. bench/client.py has the protocol. */
public final class Push {

  private static final class Work {
    String host;
    int port;
    @SerializedName("ca_file") String caFile;
    @SerializedName("key_file") String keyFile;
    @SerializedName("key_id") String keyId;
    @SerializedName("team_id") String teamId;
    String topic;
    @SerializedName("tokens_file") String tokensFile;
    @SerializedName("payload_file") String payloadFile;
    int pushes;
    int connections;
    int streams;
  }

  private static final class Result {
    int accepted;
    int rejected;
    int failed;
    final Map<String, Integer> errors = new TreeMap<>();
  }

  public static void main(final String[] arguments) throws Exception {
    final Gson gson = new Gson();
    final Work work = gson.fromJson(Files.readString(Path.of(arguments[0])), Work.class);
    final List<String> tokens = Files.readAllLines(Path.of(work.tokensFile)).subList(0, work.pushes);
    final String payload = Files.readString(Path.of(work.payloadFile));
    final int threads = Math.min(work.connections, Runtime.getRuntime().availableProcessors());
    final ApnsClient client = new ApnsClientBuilder()
        .setApnsServer(work.host, work.port)
        .setTrustedServerCertificateChain(new File(work.caFile))
        .setSigningKey(ApnsSigningKey.loadFromPkcs8File(new File(work.keyFile), work.teamId, work.keyId))
        .setEventLoopGroup(new EpollEventLoopGroup(threads))
        .setConcurrentConnections(work.connections)
        .setUseAlpn(true)
        .build();
    final BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
    System.out.println("ready");
    while (orders.readLine() != null) {
      System.out.println(gson.toJson(round(client, work, tokens, payload)));
    }
    client.close().get();
    System.exit(0);
  }

  /** Pushes once to every token. The semaphore is the flow control that Pushy's "Best practices" recommend. */
  private static Result round(
      final ApnsClient client, final Work work, final List<String> tokens, final String payload) throws Exception {
    final int most = 2 * work.connections * work.streams;
    final Semaphore inFlight = new Semaphore(most);
    final Result result = new Result();
    for (final String token : tokens) {
      inFlight.acquire();
      final SimpleApnsPushNotification notification = new SimpleApnsPushNotification(
          token, work.topic, payload, null, DeliveryPriority.IMMEDIATE, PushType.LIVE_ACTIVITY);
      client.sendNotification(notification).whenComplete((response, cause) -> {
        synchronized (result) {
          if (response == null) {
            result.failed++;
            result.errors.merge(String.valueOf(cause), 1, Integer::sum);
          } else if (response.isAccepted()) {
            result.accepted++;
          } else {
            result.rejected++;
          }
        }
        inFlight.release();
      });
    }
    inFlight.acquire(most);
    return result;
  }
}

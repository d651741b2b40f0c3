package peer;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http2.*;
import io.netty.handler.ssl.*;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * An APNs of sorts on Netty.
 *
 * <p>Peer PORT CHAIN KEY [REQUESTS]: answers 410 to tokens that begin with "dead" and 200 to others, writes each token it
 * has read to standard output, and after so many requests on a connection says GOAWAY with the highest id there is: what
 * is under way is still answered. A lower one would be no test of a client: Netty ignores the HEADERS above it, takes the
 * DATA that follow for an error of the connection, and closes it with answers unread.
 */
public final class Peer {
  private static final String GONE = "{\"reason\":\"Unregistered\",\"timestamp\":1790000000000}";

  private static final class Device extends SimpleChannelInboundHandler<Http2StreamFrame> {
    private final int limit;
    private final Map<Integer, String> tokens = new HashMap<>();
    private final Map<Integer, Integer> lengths = new HashMap<>();
    private int seen;

    Device(int limit) {
      this.limit = limit;
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, Http2StreamFrame frame) {
      int id = frame.stream().id();
      if (frame instanceof Http2HeadersFrame headers) {
        seen++;
        tokens.put(id, headers.headers().path().toString().replaceFirst("^/3/device/", ""));
        if (seen == limit) {
          Http2GoAwayFrame goaway = new DefaultHttp2GoAwayFrame(Http2Error.NO_ERROR);
          goaway.setExtraStreamIds(Integer.MAX_VALUE);
          context.writeAndFlush(goaway);
        }
        if (headers.isEndStream()) answer(context, frame.stream());
      } else if (frame instanceof Http2DataFrame data) {
        lengths.merge(id, data.content().readableBytes(), Integer::sum);
        context.write(new DefaultHttp2WindowUpdateFrame(data.initialFlowControlledBytes()).stream(frame.stream()));
        if (data.isEndStream()) answer(context, frame.stream());
        context.flush();
      }
    }

    private void answer(ChannelHandlerContext context, Http2FrameStream stream) {
      String token = tokens.remove(stream.id());
      if (token == null) return;
      System.out.println(token + " " + lengths.getOrDefault(stream.id(), 0));
      boolean dead = token.startsWith("dead");
      Http2Headers headers = new DefaultHttp2Headers().status(dead ? "410" : "200");
      headers.set("apns-id", "00000000-0000-0000-0000-000000000000");
      context.write(new DefaultHttp2HeadersFrame(headers, !dead).stream(stream));
      if (dead) {
        byte[] body = GONE.getBytes(StandardCharsets.UTF_8);
        context.write(new DefaultHttp2DataFrame(Unpooled.wrappedBuffer(body), true).stream(stream));
      }
      context.flush();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
      System.err.println(cause);
      context.close();
    }
  }

  public static void main(String[] arguments) throws Exception {
    int limit = arguments.length > 3 ? Integer.parseInt(arguments[3]) : 0;
    SslContext tls =
        SslContextBuilder.forServer(new File(arguments[1]), new File(arguments[2]))
            .applicationProtocolConfig(
                new ApplicationProtocolConfig(
                    ApplicationProtocolConfig.Protocol.ALPN,
                    ApplicationProtocolConfig.SelectorFailureBehavior.NO_ADVERTISE,
                    ApplicationProtocolConfig.SelectedListenerFailureBehavior.ACCEPT,
                    ApplicationProtocolNames.HTTP_2))
            .build();
    new ServerBootstrap()
        .group(new NioEventLoopGroup(1))
        .channel(NioServerSocketChannel.class)
        .option(ChannelOption.SO_REUSEADDR, true)
        .childHandler(
            new ChannelInitializer<SocketChannel>() {
              @Override
              protected void initChannel(SocketChannel channel) {
                Http2Settings settings = Http2Settings.defaultSettings().maxConcurrentStreams(100);
                Http2FrameCodec codec = Http2FrameCodecBuilder.forServer().initialSettings(settings).build();
                channel.pipeline().addLast(tls.newHandler(channel.alloc()), codec, new Device(limit));
              }
            })
        .bind("127.0.0.1", Integer.parseInt(arguments[0]))
        .sync()
        .channel()
        .closeFuture()
        .sync();
  }
}

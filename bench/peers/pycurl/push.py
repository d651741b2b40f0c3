"""pycurl on the work of the benchmarks: libcurl's multi interface on epoll. bench/client.py has the protocol."""

import json
import select
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pycurl

_EVENTS = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}


class Engine:
    """A multi handle with as many easy handles as there may be requests in flight; each is used again and again."""

    def __init__(self, work: dict[str, Any]) -> None:
        self._base = f"https://{work['host']}:{work['port']}/3/device/"
        self._epoll = select.epoll()
        self._timeout = -1.0
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, work["connections"])
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, work["streams"])
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        count = min(work["connections"] * work["streams"], work["pushes"])
        self._idle = [self._handle(work) for _ in range(count)]

    def one_round(self, tokens: list[str]) -> dict[str, Any]:
        """Push once to each token."""
        result: Counter[str] = Counter(accepted=0, rejected=0, failed=0)
        errors: Counter[str] = Counter()
        # A fresh connection to APNs takes one request and then more: one push goes ahead.
        for part in (tokens[:1], tokens[1:]):
            self._push(part, result, errors)
        return {**result, "errors": errors}

    def _push(self, tokens: list[str], result: Counter[str], errors: Counter[str]) -> None:
        waiting = iter(tokens)
        running = self._feed(waiting)
        while running:
            ready = self._epoll.poll(self._timeout)
            if not ready:
                self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            for descriptor, events in ready:
                mask = pycurl.CSELECT_IN if events & ~select.EPOLLOUT else 0
                mask |= pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0
                self._multi.socket_action(descriptor, mask)
            _, done, failed = self._multi.info_read(len(tokens) + 1)
            for handle in done:
                result["accepted" if handle.getinfo(pycurl.RESPONSE_CODE) == 200 else "rejected"] += 1
            for _, code, text in failed:
                result["failed"] += 1
                errors[f"{code}: {text}"] += 1
            finished = [*done, *(handle for handle, _, _ in failed)]
            for handle in finished:
                self._multi.remove_handle(handle)
            self._idle += finished
            running += self._feed(waiting) - len(finished)

    def _feed(self, waiting: Iterator[str]) -> int:
        count = 0
        while self._idle and (token := next(waiting, None)) is not None:
            handle = self._idle.pop()
            handle.setopt(pycurl.URL, self._base + token)
            self._multi.add_handle(handle)
            count += 1
        return count

    def _handle(self, work: dict[str, Any]) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.CAINFO, work["ca_file"])
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.WRITEFUNCTION, len)
        handle.setopt(pycurl.POSTFIELDS, Path(work["payload_file"]).read_bytes())
        headers = {
            "authorization": work["authorization"],
            "apns-topic": work["topic"],
            "apns-push-type": "liveactivity",
            "apns-priority": "10",
            "content-type": "",
        }
        handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}".rstrip() for name, value in headers.items()])
        return handle

    def _watch(self, event: int, descriptor: int, multi: pycurl.CurlMulti, data: object) -> None:
        del data
        if event == pycurl.POLL_REMOVE:
            self._epoll.unregister(descriptor)
            return
        try:
            self._epoll.modify(descriptor, _EVENTS[event])
        except FileNotFoundError:
            self._epoll.register(descriptor, _EVENTS[event])
            multi.assign(descriptor, self)

    def _set_timer(self, milliseconds: int) -> None:
        self._timeout = milliseconds / 1000 if milliseconds >= 0 else -1.0


def main(work: dict[str, Any]) -> None:
    tokens = Path(work["tokens_file"]).read_text().split()[: work["pushes"]]
    engine = Engine(work)
    print("ready", flush=True)
    while sys.stdin.readline():
        print(json.dumps(engine.one_round(tokens)), flush=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))

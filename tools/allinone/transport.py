# SPDX-License-Identifier: Apache-2.0
"""Make oslo.messaging's ``fake:/`` behave like a broker.

As it comes, it hands live objects from one service to the other, which
hides errors and makes get-pools fail, and it polls every 50 ms, which
would show in every measured operation.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import oslo_messaging
from oslo_messaging._drivers import base, common, impl_fake
from oslo_serialization import jsonutils


def through_json(message: Any) -> Any:
    """What the other side of a broker would see."""
    return jsonutils.loads(jsonutils.dumps(message))


class Bell:
    """Wakes every listener when something was delivered."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0

    def ring(self) -> None:
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def count(self) -> int:
        return self._rings

    def wait_past(self, seen: int, timeout: float) -> None:
        """Return once there were more than *seen* rings, or after a time."""
        with self._condition:
            self._condition.wait_for(lambda: self._rings > seen, timeout)


def install() -> None:
    """Patch the fake driver; call after monkey patching, before use."""
    bell = Bell()
    deliver = impl_fake.FakeExchange.deliver_message

    def deliver_and_ring(self: Any, *args: Any, **kwargs: Any) -> None:
        deliver(self, *args, **kwargs)
        bell.ring()

    halt = impl_fake.FakeListener.stop

    def halt_and_ring(self: Any) -> None:
        halt(self)
        bell.ring()

    impl_fake.FakeExchange.deliver_message = deliver_and_ring
    impl_fake.FakeListener.stop = halt_and_ring
    impl_fake.FakeListener.poll = base.batch_poll_helper(_prompt_poll(bell))
    impl_fake.FakeDriver._send = _send


def _prompt_poll(bell: Bell) -> Any:
    def poll(self: Any, timeout: float | None = None) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._stopped.is_set():
            seen = bell.count()
            for target in self._targets:
                exchange = self._exchange_manager.get_exchange(
                    target.exchange)
                found = exchange.poll(target, self._pool)
                if found[1] is not None:
                    return impl_fake.FakeIncomingMessage(*found)
            pause = 5.0
            if deadline is not None:
                pause = min(pause, deadline - time.monotonic())
                if pause < 0:
                    break
            bell.wait_past(seen, pause)
        return None
    return poll


def _send(self: Any, target: Any, ctxt: Any, message: Any,
          wait_for_reply: bool | None = None, timeout: float | None = None,
          transport_options: Any = None) -> Any:
    exchange = self._exchange_manager.get_exchange(target.exchange)
    replies: queue.Queue[Any] | None = (
        queue.Queue() if wait_for_reply else None)
    exchange.deliver_message(target.topic, through_json(ctxt),
                             through_json(message), server=target.server,
                             fanout=target.fanout, reply_q=replies)
    if replies is None:
        return None
    try:
        reply, failure = replies.get(timeout=timeout)
    except queue.Empty:
        raise oslo_messaging.MessagingTimeout(
            f'No reply on topic {target.topic}') from None
    if failure:
        data = common.serialize_remote_exception(
            (type(failure), failure, failure.__traceback__))
        raise common.deserialize_remote_exception(
            data, self._allowed_remote_exmods)
    return through_json(reply)

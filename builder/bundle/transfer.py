"""The engine: one queue over all artifacts, largest first, a few threads, patient with hosts.

Each thread takes the largest artifact whose source's host has room, makes one attempt, and puts it
back if that failed and there is hope: a broken body goes on where it broke, a source that cannot
give the right bytes hands over to the next. One artifact's failure does not stop the others, but a
host that is dead for one is not waited for by each of the others. Memory is one buffer a thread.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from builder import disk
from builder.backoff import REFUSALS
from builder.bundle.download import Cancelled, Download, Sink, StaleError, Stop
from builder.bundle.failures import displaced, summary, unavailable
from builder.bundle.host_limits import HostLimits
from builder.bundle.place import PlaceError
from builder.bundle.waiting import Waiting
from builder.errors import AirseedError, Fault, FetchError, UnavailableError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from builder.bundle.download import Attempts, Job, Outcome
    from builder.bundle.policy import Policy
    from builder.report import Progress

_JOIN = 2.0
"""Seconds that the end waits for threads that are still connecting."""
_NAP = 1.0


class Transfer:
    """Bring all jobs to their places.

    ``finished`` is called from the thread that finished a job, before its outcome counts;
    ``tick`` now and then from the thread that called :meth:`run`.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        progress: Progress,
        *,
        policy: Policy,
        finished: Callable[[Download], object] = lambda _: None,
        tick: Callable[[Transfer], object] = lambda _: None,
    ) -> None:
        self._waiting = Waiting(map(Download, jobs), _hosts, time.monotonic())
        self._running: dict[Download, tuple[str, ...]] = {}
        """With the hosts whose slots each takes: its source's, its place's."""
        self._working = 0
        """Threads that have not ended. To wait for this, not in Thread.join: before Python 3.13
        an interrupted join takes a thread that runs for one that has ended."""
        self._progress = progress
        self._policy = policy
        self._finished = finished
        self._tick = tick
        self._hosts = HostLimits(most=policy.workers)
        self._stop = Stop()
        self._changed = threading.Condition()
        self._outcomes: list[Outcome] = []
        self._failures: list[AirseedError] = []
        self._left: list[Download] = []
        """What failed or was stopped."""
        self._fatal: BaseException | None = None

    def run(self) -> list[Outcome]:
        """Fetch everything; return the outcomes by path.

        Raise UnavailableError (or VerificationError, if only signatures are wrong) when some
        artifacts could not be had, with all their faults; StorageError at once. After any of
        them, and after KeyboardInterrupt, all threads have ended.
        """
        count = min(self._policy.workers, len(self._waiting))
        threads = [
            threading.Thread(target=self._work, name=f"transfer-{number}", daemon=True)
            for number in range(count)
        ]
        try:
            for thread in threads:
                with self._changed:
                    self._working += 1
                thread.start()
            self._watch()
        finally:
            self._cancel(threads)
        if self._fatal is not None:
            raise self._fatal
        if self._failures:
            raise summary(self._failures)
        return sorted(self._outcomes, key=lambda outcome: outcome.path)

    def unfinished(self) -> list[tuple[str, int]]:
        """Return path and hashed bytes of everything that is not finished."""
        with self._changed:
            everything = [*self._left, *self._running, *self._waiting]
        return [(item.job.wanted.path, item.have) for item in everything if not item.whole]

    def _watch(self) -> None:
        """Wait for the threads; call ``tick`` meanwhile, and say what is waited for."""
        while not self._ended(self._policy.tick):
            if self._fatal is None:
                self._tick(self)
            with self._changed:
                waits = self._hosts.waits(time.monotonic())
            self._progress.describe(waits)
            self._progress.advance(0)  # a plain log shows that it is alive, too
        self._progress.describe("")
        if self._fatal is None:
            self._tick(self)

    def _ended(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._working, seconds)

    def _cancel(self, threads: list[threading.Thread]) -> None:
        """End all threads, those that wait for a server too."""
        with self._changed:
            self._stop.wanted = True
            self._changed.notify_all()
            running = list(self._running)
        for item in running:
            item.interrupt()
        if self._ended(_JOIN):
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        self._stop.over = True

    def _work(self) -> None:
        sink = Sink(progress=self._progress, stop=self._stop)
        try:
            while (download := self._next()) is not None:
                self._advance(download, sink)
        except Cancelled:
            pass
        except BaseException as error:  # noqa: BLE001 -- handed to the thread that called run
            with self._changed:
                self._fatal = self._fatal or error
                self._stop.wanted = True
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _next(self) -> Download | None:
        """Take the largest artifact that may go on now; None when there is nothing left."""
        with self._changed:
            while not self._stop.wanted and (self._waiting or self._running):
                now = time.monotonic()
                item = self._waiting.take(partial(self._take, now=now), now)
                if item is not None:
                    return item
                # where no slot is free, whoever releases one wakes us
                soonest = min((now + _NAP, *self._waiting.soonest(self._hosts.free_at, now)))
                self._changed.wait(soonest - now)
            return None

    def _take(self, item: Download, now: float) -> bool:
        """Take a slot at each host that is to be asked, if there are any.

        A host that is given up is not asked, so no slot is needed to find that out.
        """
        source, place = _hosts(item)
        patience = self._policy.patience
        hosts = tuple(
            "" if self._hosts.given_up(host, patience) else host for host in (source, place)
        )
        if not self._hosts.acquire(hosts[0], now):
            return False
        if not self._hosts.acquire(hosts[1], now):
            self._hosts.release(hosts[0])
            return False
        self._running[item] = hosts
        return True

    def _advance(self, download: Download, sink: Sink) -> None:
        again, done = False, False
        try:
            again = self._step(download, sink)
            done = not again
        except AirseedError as error:
            if not isinstance(error, (UnavailableError, VerificationError)):
                raise
            with self._changed:
                self._failures.append(error)
        finally:
            with self._changed:
                for host in self._running.pop(download):
                    self._hosts.release(host)
                if again:
                    self._waiting.add(download, time.monotonic())
                elif not done:
                    self._left.append(download)
                self._changed.notify_all()

    def _step(self, download: Download, sink: Sink) -> bool:
        """Adopt or attempt; tell whether it has to go on.

        Raise UnavailableError or VerificationError when there is no hope for this artifact.
        """
        if download.claimed:
            download.adopt(sink)
            if not download.whole:
                return True
        elif download.job.wanted.size or not download.right:
            if not download.job.sources:
                raise unavailable(download)
            if not self._attempt(download, sink):
                return True
        try:
            self._finish(download)
        except PlaceError as error:
            self._displace(download, error.error, sink)
            return True
        return False

    def _finish(self, download: Download) -> None:
        job = download.job
        if job.check is not None or job.judge is not None:
            try:
                if job.judge is not None:
                    job.judge(download.beginning)
                if job.check is not None:
                    with job.place.open() as file:
                        job.check(file)
            except OSError as error:
                raise disk.failure(error, Path(job.wanted.name)) from error
            except VerificationError as error:
                fault = replace(error.fault, where=job.wanted.name)
                raise VerificationError(
                    fault.what, where=fault.where, faults=error.faults or (fault,)
                ) from error
        try:
            job.place.finish()
        except FetchError as error:
            raise PlaceError(error) from error
        self._finished(download)
        with self._changed:
            self._hosts.succeeded(job.place.host, now=time.monotonic())
            self._outcomes.append(download.outcome())

    def _attempt(self, download: Download, sink: Sink) -> bool:
        """Ask the source whose turn it is once; tell whether all is there and right."""
        started, before, host = time.monotonic(), download.reached, download.source.host
        asked, place = self._running[download]
        if place != download.job.place.host:
            self._refuse(download)
        if host != asked:
            self._skip(download, host)
            return False
        try:
            download.attempt(sink)
        except StaleError:
            return False
        except PlaceError as error:
            self._stop.check()
            self._displace(download, error.error, sink, started=started)
            return False
        except FetchError as error:
            self._stop.check()  # an interrupted stream looks like a broken one
            download.broke()
            if download.moved(before):
                download.attempts.calm()
            if error.temporary:
                self._yield(download, error, started)
            elif download.have and not download.attempts.afresh:
                download.attempts.afresh = True  # it may only be unable to resume
            else:
                self._pass_on(download, error)
            return False
        with self._changed:
            now = time.monotonic()
            self._hosts.succeeded(host, now=now)
            self._hosts.lives(host, now)
        return True

    def _skip(self, download: Download, host: str) -> None:
        with self._changed:
            why = self._hosts.given_up(host, self._policy.patience)
        if why:  # else it has come back to life meanwhile
            self._pass_on(download, FetchError(why, where=host))

    def _refuse(self, download: Download) -> None:
        """Raise UnavailableError for what goes to a place that was given up."""
        host = download.job.place.host
        with self._changed:
            why = self._hosts.given_up(host, self._policy.patience)
        if why:
            raise displaced(download.job.wanted.name, host, Fault(where=host, what=why))

    def _displace(
        self, download: Download, error: FetchError, sink: Sink, *, started: float | None = None
    ) -> None:
        """Let a place that failed for the moment rest; raise UnavailableError if there is no hope.

        The source is not to blame, so it is asked again.
        """
        host = download.job.place.host
        hopeless = not error.temporary
        if error.temporary:
            attempts = download.placing
            hopeless = self._rests(download, attempts, host, error, started or time.monotonic())
        if not hopeless:
            try:
                download.recover(sink.progress)
            except FetchError as again:
                error, hopeless = again, not again.temporary
        if hopeless:
            raise displaced(download.job.wanted.name, host, error.fault)

    def _yield(self, download: Download, error: FetchError, started: float) -> None:
        """Let a source that failed for the moment rest, or give it up."""
        host = download.source.host
        if self._rests(download, download.attempts, host, error, started):
            with self._changed:
                why = self._hosts.given_up(host, self._policy.patience)
            if error.fault.what in why:  # said as for those who will not ask it any more
                error = FetchError(why, where=host, hint=error.fault.hint)
            self._pass_on(download, error)

    def _rests(
        self, download: Download, attempts: Attempts, host: str, error: FetchError, started: float
    ) -> bool:
        """Plan the next attempt at a host; return whether there is none, as it is hopeless."""
        policy, now = self._policy, time.monotonic()
        refused = error.status in REFUSALS
        pause = policy.backoff.pause(attempts.failures + 1, error.retry_after if refused else None)
        if refused and error.retry_after is not None:
            attempts.calm()  # it speaks to us
        else:
            attempts.fail(started=started, now=now, fed_at=download.fed_at)
        exhausted = attempts.failures >= policy.backoff.attempts or attempts.wasted >= policy.outage
        with self._changed:
            self._hosts.failed(host, started=started, now=now)
            if refused:
                self._hosts.refused(host, now=now, until=now + pause)
            if exhausted:
                feeding = [item.fed_at for item, asked in self._running.items() if host in asked]
                self._hosts.lives(host, max(*feeding, download.fed_at))
                why = f"was given up: {error.fault.what} (tried {attempts.failures} times)"
                self._hosts.lose(host, why, since=attempts.failing_since or started, now=now)
            hopeless = exhausted or bool(self._hosts.given_up(host, policy.patience))
        if not hopeless:
            attempts.ready_at = now + pause
        return hopeless

    def _pass_on(self, download: Download, error: FetchError) -> None:
        """Go to the next source; raise UnavailableError if there is none."""
        if not download.pass_on(replace(error.fault, where=download.source.name)):
            raise unavailable(download)


def _hosts(download: Download) -> tuple[str, str]:
    """Return the hosts of source and place that the next step speaks to.

    There are none while there are bytes to adopt.
    """
    if download.claimed or not download.job.sources:
        return "", ""
    return download.source.host, download.job.place.host

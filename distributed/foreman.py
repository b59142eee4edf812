"""Keep workers fed, replace those that die, and find out which chunk is to blame.

Of what a dead worker held, only the chunk it was at can be guilty, and only if its shard is not
there; a worker that dies before it is ready accuses nobody. A worker that is at one chunk for much
longer than any chunk took is hung, and killed.
"""

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from threading import Event as Flag

from epistax.distributed.crew import (
    Answered,
    Crew,
    Died,
    Divisible,
    Event,
    Inline,
    Kernel,
    KernelFailed,
    Ready,
    raised,
)
from epistax.distributed.errors import BadInput, Stopped
from epistax.distributed.events import Events
from epistax.distributed.plan import Chunk
from epistax.distributed.progress import Progress
from epistax.distributed.store import Census, Store
from epistax.distributed.suspects import Suspects
from epistax.distributed.worker import Answer

LOOK = 0.25  # seconds between looks at the clock
GRACE = 2.5  # seconds for the work in flight once a stop was asked for: a job scheduler gives 3
START = 300.0  # seconds within which a worker must be ready
SLOW = 10  # times the longest chunk so far, beyond which one is taken for hung
IDLE = 64  # deaths in a row without a chunk done, beyond which nothing will come of it


@dataclass
class Hand:
    """A worker as the foreman sees it."""

    name: str
    spare: bool  # for suspects
    warm: bool = False
    queue: deque[Chunk] = field(default_factory=deque)
    since: float = field(default_factory=time.monotonic)  # when it began what it is at


class Foreman:
    """The pull loop over one plan."""

    def __init__(
        self,
        census: Census,
        kernel: Kernel,
        store: Store,
        crew: Crew,
        progress: Progress,
        events: Events,
        deadline: float,
    ) -> None:
        """Deadline: seconds that any chunk may take, ten times that where its kind is new."""
        self.kernel, self.store, self.crew = kernel, store, crew
        self.progress, self.events, self.deadline = progress, events, deadline
        self.suspects = Suspects(kernel, store, events)
        self.todo: deque[Chunk] = deque()
        for chunk in census.todo:
            if not (isinstance(kernel, Divisible) and self.suspects.known(chunk)):
                self.todo.append(chunk)
        self.done, self.total = len(census.done), len(census.done) + len(census.todo)
        self.hands: dict[str, Hand] = {}
        self.hired = self.deaths = self.cold = self.idle = 0
        self.absent = 0  # workers that there is no room for
        self.longest: Counter[str] = Counter()
        self.peak = 0

    def open(self) -> None:
        """Share the kernel, and say in the log who begins what."""
        facts = self.crew.open(self.kernel, self.store)
        who = {"executor": self.crew.name, "workers": self.crew.size}
        self.events.write("start", total=self.total, done=self.done, **who, **facts)

    def work(self, stop: Flag) -> None:
        """Until everything is published, or a stop was asked for and the work in flight is over."""
        asked = 0.0
        while self.todo or self.suspects or self.in_flight or self.suspects.finished:
            if stop.is_set():
                asked = asked or time.monotonic()
                if not self.in_flight or time.monotonic() > asked + GRACE:
                    return
            else:
                self.staff()
                self.feed()
            for event in self.crew.wait(LOOK):
                self.hear(event)
            while self.suspects.finished:
                self.count(self.suspects.finished.popleft())
            self.watch()

    def close(self) -> None:
        """End all workers."""
        self.crew.close()

    def facts(self) -> dict[str, object]:
        """What run.json keeps of the crew."""
        who = {"executor": self.crew.name, "workers": self.crew.size}
        return who | {"deaths": self.deaths, "peak_mb": self.peak}

    @property
    def in_flight(self) -> int:
        """Chunks that workers hold."""
        return sum(len(hand.queue) for hand in self.hands.values())

    def staff(self) -> None:
        """Hire as many workers as there is work for, and one of their own for suspects."""
        pool = [hand for hand in self.hands.values() if not hand.spare]
        chunks = len(self.todo) + sum(len(hand.queue) for hand in pool)
        for _ in range(min(self.crew.size - self.absent, chunks) - len(pool)):
            self.hire(spare=False)
        spares = [hand for hand in self.hands.values() if hand.spare]
        if self.suspects.queue and not spares:
            self.hire(spare=True)
        for hand in spares:
            if not self.suspects.queue and not hand.queue:
                self.crew.fire(hand.name)
                del self.hands[hand.name]

    def hire(self, *, spare: bool) -> None:
        """One more worker, not ready yet."""
        self.hired += 1
        name = f"{'s' if spare else 'w'}{self.hired}"
        self.hands[name] = Hand(name, spare)
        self.crew.hire(name, spare=spare)

    def feed(self) -> None:
        """Give out chunks, to those who hold the fewest first."""
        hands = [hand for hand in self.hands.values() if hand.warm and not hand.spare]
        for hand in (hand for hand in self.hands.values() if hand.warm and hand.spare):
            if self.suspects.queue and not hand.queue:
                self.give(hand, self.suspects.queue.popleft())
        # towards the end nobody holds what another could begin
        deep = self.crew.depth if len(self.todo) > 2 * len(hands) else 1
        for depth in range(deep):
            for hand in hands:
                if self.todo and len(hand.queue) <= depth:
                    self.give(hand, self.todo.popleft())

    def give(self, hand: Hand, chunk: Chunk) -> None:
        """Send a chunk; an idle worker begins it now."""
        if not hand.queue:
            hand.since = time.monotonic()
        hand.queue.append(chunk)
        self.crew.send(hand.name, chunk)

    def hear(self, event: Event) -> None:
        """Take note of what a worker says, or of its end."""
        hand = self.hands[event.worker]
        if isinstance(event, Ready):
            hand.warm, self.cold, hand.since = True, 0, time.monotonic()
            self.events.write("ready", worker=hand.name, **event.facts)
        elif isinstance(event, Answered):
            chunk = hand.queue.popleft()
            hand.since = time.monotonic()
            self.answered(hand, chunk, event.answer)
        elif isinstance(event, Died):
            self.lose(hand, "death", event.cause, innocent=event.innocent)
        else:
            self.events.write("unfit", worker=hand.name, cause=event.cause)
            raise event.error or KernelFailed(event.cause)

    def answered(self, hand: Hand, chunk: Chunk, given: Answer) -> None:
        """A chunk is published, or is suspected from now on, or the run must end."""
        if given.problem == "disk":
            raise BadInput(
                f"--out: {self.store.folder} cannot be written to: {given.text}; mend that and "
                "go on with --resume"
            )
        if given.problem == "input" or (given.problem and not isinstance(self.kernel, Divisible)):
            raise raised(given)
        if given.problem:
            self.suspects.accuse(chunk, "error", given.text)
            return
        self.idle = 0
        self.peak = max(self.peak, given.peak_mb)
        self.longest[chunk.kind] = max(self.longest[chunk.kind], given.seconds)
        if self.suspects.acquit(chunk):
            self.count(chunk, hand.name, given)

    def count(self, chunk: Chunk, worker: str = "", given: Answer | None = None) -> None:
        """One more chunk is on disk."""
        facts: dict[str, object] = {"worker": worker} if worker else {}
        if given is not None:
            facts |= {"seconds": round(given.seconds, 4), "peak_mb": given.peak_mb}
            facts |= {} if given.published else {"twice": True}
        self.events.write("done", chunk=chunk.id, kind=chunk.kind, **facts)
        self.done += 1
        self.progress.advance(note=self.state(chunk))

    def state(self, chunk: Chunk) -> str:
        """How it goes, beside the count."""
        crew = sum(hand.warm for hand in self.hands.values())
        parts = [f"chunk {chunk.id}" if isinstance(self.crew, Inline) else f"{crew} workers"]
        for count, what in ((self.deaths, "deaths"), (self.suspects.failed, "failed")):
            parts += [f"{count} {what}"] if count else []
        return ", ".join(parts)

    def lose(self, hand: Hand, kind: str, cause: str, *, innocent: bool = False) -> None:
        """A worker is gone: who is to blame, and who takes over its chunks."""
        del self.hands[hand.name]
        self.deaths += 1
        self.idle += 1
        held = [chunk.id for chunk in hand.queue]
        self.events.write("death", worker=hand.name, cause=cause, warm=hand.warm, held=held)
        self.progress.note(f"worker {hand.name}: {cause}")
        if not hand.warm:
            self.cold += 1
        if self.cold > 3 + 2 * self.crew.size or self.idle > IDLE:
            raise Stopped(
                f"{self.done} of {self.total} chunks are done; workers die one after another, the "
                f"last of them: {cause}; {self.events.path} says more"
            )
        if not hand.queue:
            return
        head, *rest = hand.queue
        self.todo.extendleft(reversed(rest))
        if self.store.has(head):  # it died between the shard and the word
            if self.suspects.acquit(head):
                self.count(head, hand.name)
        elif innocent and not hand.spare:
            self.todo.appendleft(head)
        elif innocent:
            self.suspects.queue.appendleft(head)
        else:
            self.suspects.accuse(head, kind, cause)

    def watch(self) -> None:
        """Kill who is hung, and give up on who does not come."""
        now = time.monotonic()
        for hand in list(self.hands.values()):
            if not hand.warm and now - hand.since > START:
                self.crew.fire(hand.name)
                self.missing(hand)
            elif hand.warm and hand.queue and now - hand.since > self.patience(hand):
                self.crew.fire(hand.name)
                taken = f"at chunk {hand.queue[0].id} for {now - hand.since:.0f} s"
                self.lose(hand, "hang", taken)

    def patience(self, hand: Hand) -> float:
        """Seconds that a worker may be at its chunk; the first of a kind compiles.

        What compiling takes is known from the first, and is no excuse for a suspect's new worker:
        it is there to find out who hangs, again and again.
        """
        kind = hand.queue[0].kind
        usual = max(self.deadline, SLOW * self.longest[kind])
        return usual if self.longest[kind] else SLOW * usual

    def missing(self, hand: Hand) -> None:
        """A worker did not start in time: there is no room for it."""
        del self.hands[hand.name]
        self.absent += 0 if hand.spare else 1
        self.events.write("absent", worker=hand.name)
        self.progress.say(f"worker {hand.name} has not started in {START:.0f} s: on without it")
        if not any(other.warm for other in self.hands.values()):
            raise Stopped(
                f"{self.done} of {self.total} chunks are done; no worker started in {START:.0f} s: "
                "there is no room for one; ask for fewer --cores or --gpus, or for more machines"
            )

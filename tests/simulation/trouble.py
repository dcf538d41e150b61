"""What goes wrong in a world, and a director that mends it as well as it knows."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from actors.runtime.cell import Delivery
from schemas.messages import CONTROL, SYSTEM, Request, pack
from tests.simulation.homes import Home
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

LOOK_EVERY_S = 0.25
HOSTS_WANTED = 2
STOLEN_S = 6.0
"""After how long the former owner of a slot has surely read that it is not its own."""


class Trouble:
    """The seed's own weights decide how often what happens."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.random = world.random
        self._jumps = [0]
        self.faults: list[Callable[[], None]] = []
        kinds: list[tuple[Callable[[], None], float]] = [
            (self.kill_host, 0.6),
            (self.stop_host, 0.4),
            (self.cancel_host, 0.3),
            (self.pause_host, 0.4),
            (self.steal_slots, 0.4),
            (self.move_slots, 0.6),
            (self.cut_links, 0.6),
            (self.postgres_down, 0.4),
            (self.postgres_loses, 0.6),
            (self.postgres_silent, 0.3),
            (self.postgres_slow, 0.5),
            (self.clock_jumps, 0.3),
        ]
        for fault, share in kinds:
            wanted = fault.__name__ in world.faults if world.faults else self.random.random() < share
            if wanted:
                self.faults += [fault] * self.random.randint(1, 3)
        self.pause_s = self.random.choice((0.1, 0.3, 1.0, 3.0))

    async def make(self) -> None:
        """Go on until the steps are used up."""
        world = self.world
        while world.steps_left > 0:
            await asyncio.sleep(self.random.random() * self.pause_s)
            if self.faults and world.steps_left > 0:
                world.steps_left -= 1
                fault = self.random.choice(self.faults)
                world.trace("fault", fault.__name__)
                world.counts[fault.__name__] += 1
                fault()

    def heal(self) -> None:
        """From now on nothing goes wrong any more. What is due by a clock that was ahead is not waited for."""
        world = self.world
        world.postgres.down = False
        world.postgres.lost_share = 0.0
        world.postgres.slow_s = 0.002
        world.postgres.silent_to.clear()
        world.jump_ms = max(self._jumps)
        for home in world.homes:
            if home.process.paused:
                home.resumed_at = world.loop.now_s
                world.loop.resume(home.process)

    def _later(self, after_s: float, undo: Callable[[], None]) -> None:
        self.world.loop.call_later(after_s, undo)

    def _some_home(self) -> Home | None:
        homes = self.world.ready_homes()
        return self.random.choice(homes) if homes else None

    # -- hosts ----------------------------------------------------------------------------------------------------

    def kill_host(self) -> None:
        home = self._some_home()
        if home is not None:
            self.world.kill(home)

    def cancel_host(self) -> None:
        """Its process ends by an error: every task of it is cancelled where it stands."""
        home = self._some_home()
        if home is not None and home.task is not None and not home.process.paused:
            home.task.cancel()
            home.draining = True
            self._later(0.5, lambda: self._end(home))

    def _end(self, home: Home) -> None:
        if home in self.world.homes:
            self.world.kill(home)

    def stop_host(self) -> None:
        """As at a rolling restart."""
        home = self._some_home()
        if home is None or home.process.paused:
            return
        home.draining = True

        async def stop() -> None:
            assert home.host is not None
            await home.host.drain_all()
            self.world.loop.call_soon(self._end, home, context=_NOBODY.context.copy())

        self.world.loop.begin(home.process, stop())
        self._later(30.0, lambda: self._end(home))

    def pause_host(self) -> None:
        """It stands still, and goes on later as if nothing had been: its slots may be others' by then."""
        home = self._some_home()
        if home is None or home.process.paused:
            return
        pause_s = self.random.choice((0.2, 2.0, 7.0, 12.0))
        self.world.doubled_until = max(self.world.doubled_until, self.world.loop.now_s + pause_s + STOLEN_S)
        self.world.loop.pause(home.process)

        def resume() -> None:
            if home.process.alive and home.process.paused:
                home.resumed_at = self.world.loop.now_s
                self.world.loop.resume(home.process)

        self._later(pause_s, resume)

    # -- slots ----------------------------------------------------------------------------------------------------

    def steal_slots(self) -> None:
        """Another host gets slots, and their owner does not hear of it until it renews its lease."""
        world = self.world
        homes = world.ready_homes()
        if len(homes) < 2:
            return
        world.doubled_until = max(world.doubled_until, world.loop.now_s + STOLEN_S)
        for slot in world.store.slot.values():
            if self.random.random() < 0.3:
                slot["run"] = self.random.choice(homes).run
        if self.random.random() < 0.7:
            self._refresh()

    def move_slots(self) -> None:
        """As the director moves them: the owner gives them up first."""
        world = self.world
        source, target = self._some_home(), self._some_home()
        if source is None or target is None or source is target:
            return
        slots = {slot for slot, row in world.store.slot.items() if row["run"] == source.run}
        moving = {slot for slot in sorted(slots) if self.random.random() < 0.5}

        def released() -> None:
            for slot in sorted(moving):
                if world.store.slot[slot]["run"] == source.run:
                    world.store.slot[slot]["run"] = target.run
            self._refresh()

        if moving:
            self._control(source, "release", pack(sorted(moving)), released)

    def _refresh(self) -> None:
        for home in self.world.ready_homes():
            self._control(home, "refresh", pack([]), lambda: None)

    def _control(self, home: Home, name: str, data: bytes, done: Callable[[], None]) -> None:
        """A word of the director to a host."""
        loop = self.world.loop

        class Once:
            def reply(self, number: int, reply: object) -> None:
                loop.call_soon(done, context=_NOBODY.context.copy())

            def news(self, address: object, version: int, *, last: bool = False) -> None:
                """The director watches nobody."""

        def say() -> None:
            if home.host is not None:
                home.host.accept(Delivery(Request(CONTROL, "", "", name, "", SYSTEM, data), Once(), 0, 0.0))

        loop.call_later(self.random.random() * 0.002, say, context=home.process.context.copy())

    async def direct_forever(self) -> None:
        """Retire the dead and those without a lease, give their slots away, start hosts in their place."""
        world = self.world
        while True:
            alive = {home.run for home in world.homes if home.run}
            for run, row in world.store.host.items():
                if not row["retired"] and (run not in alive or row["lease"] < world.now_ms()):
                    row["retired"] = True
            for home in [home for home in world.homes if home.task is not None and home.task.done()]:
                self._ended(home)
                world.kill(home)
            ready = world.ready_homes()
            given = False
            for slot in world.store.slot.values():
                host = world.store.host.get(slot["run"])
                draining = any(home.draining and home.run == slot["run"] for home in world.homes)
                if ready and (host is None or host["retired"] or (draining and self._gave_up(slot["slot"]))):
                    slot["run"] = self.random.choice(ready).run
                    given = True
            if given:
                self._refresh()
            if len(world.homes) < HOSTS_WANTED:
                world.start_host()
            world.audit()
            await asyncio.sleep(LOOK_EVERY_S * (0.2 + self.random.random()))

    def _ended(self, home: Home) -> None:
        task = home.task
        if task is not None and not task.cancelled() and task.exception() is not None:
            self.world.fail(f"{home.process} ended by {task.exception()!r}")

    def _gave_up(self, slot: str) -> bool:
        home = self.world.owner(slot)
        return home is None or home.host is None or not home.host.cells

    # -- links and Postgres ---------------------------------------------------------------------------------------

    def cut_links(self) -> None:
        self.world.network.cut(0.5)

    def _undo(self, after_s: float, undo: Callable[[], None]) -> None:
        """Postgres is well again after this time."""
        postgres = self.world.postgres
        postgres.troubled_until = max(postgres.troubled_until, self.world.loop.now_s + after_s)
        self._later(after_s, undo)

    def postgres_down(self) -> None:
        """It restarts: what is under way there is rolled back."""
        postgres = self.world.postgres
        postgres.down = True
        self._undo(self.random.choice((0.05, 1.0, 4.0)), lambda: setattr(postgres, "down", False))

    def postgres_loses(self) -> None:
        postgres = self.world.postgres
        postgres.lost_share = self.random.choice((0.05, 0.3))
        self._undo(self.random.random() * 5, lambda: setattr(postgres, "lost_share", 0.0))

    def postgres_silent(self) -> None:
        """The packets of one host to Postgres vanish, and perhaps those of a gateway beside it."""
        home = self._some_home()
        if home is None or self.world.postgres.silent_to:
            return
        cut_off = {home.process}
        if self.random.random() < 0.5:
            cut_off.add(self.random.choice(self.world.gateways).process)
        silent = self.world.postgres.silent_to
        silent |= cut_off
        silent_s = self.random.choice((0.5, 3.0, 9.0, 14.0))
        self.world.doubled_until = max(self.world.doubled_until, self.world.loop.now_s + silent_s + STOLEN_S)
        self._undo(silent_s, lambda: silent.difference_update(cut_off))

    def postgres_slow(self) -> None:
        postgres = self.world.postgres
        postgres.slow_s = self.random.choice((0.02, 0.1, 0.5))
        self._undo(self.random.random() * 3, lambda: setattr(postgres, "slow_s", 0.002))

    def clock_jumps(self) -> None:
        """Postgres' clock is set, forward or back."""
        self.world.jump_ms += self.random.choice((-600_000, -3_000, 3_000, 600_000))
        self._jumps.append(self.world.jump_ms)
        # Leases by the old time say nothing any more, and this director believes them all the same.
        self.world.doubled_until = max(self.world.doubled_until, self.world.loop.now_s + STOLEN_S)


_NOBODY = Process("nobody")

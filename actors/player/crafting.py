"""Crafting: ingredients are used up at once, work waits in line at its station, and what it makes comes once."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from actors.content.crafting import Recipe
from actors.core import Command, Effects, Event, Forget, Query, Rejected, Remind, Turn
from actors.player.character import gained
from actors.player.inventory import ItemsReceived, received, taken
from actors.player.packing import NO_ROOM, has_room
from actors.player.state import Job, Player, counted, parted
from actors.times import SECOND_MS, rfc3339
from schemas import limits
from schemas.shape import Key


class Craft(Command[Player]):
    """A piece of work is begun, or stands in line at its station."""

    public = True

    recipe: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        recipe = turn.content.recipes.get(self.recipe)
        if recipe is None:
            raise Rejected("recipe_unknown", f"There is no recipe {self.recipe!r}.")
        _guard(player, turn, recipe)
        station = recipe.station or ""
        spent = taken(player, turn, f"craft:{self.recipe}", recipe.ingredients)
        starts_at = max([turn.at, *(job.ready_at for job in player.jobs.values() if job.station == station)])
        job_id = turn.new_id()
        job = Job(
            recipe=self.recipe,
            station=station,
            starts_at=starts_at,
            ready_at=starts_at + recipe.takes_s * SECOND_MS,
            lots=[lot.copied() for lot in spent.lots],
        )
        yield spent
        yield CraftBegun(id=job_id, job=job, at=turn.at)
        yield _reminder(job_id, job.ready_at)
        return {"id": job_id, "startsAt": rfc3339(job.starts_at), "readyAt": rfc3339(job.ready_at)}


def _guard(player: Player, turn: Turn, recipe: Recipe) -> None:
    """Refuse what the player cannot make now, ingredients aside."""
    station = turn.content.stations[recipe.station] if recipe.station else None
    level = max(recipe.level, station.level if station else 1)
    if player.level < level:
        raise Rejected("level_too_low", f"It takes level {level}.")
    at_hand = {*(stack.item for stack in player.bag.values()), *(worn.item for worn in player.worn.values())}
    for tool in recipe.tools:
        if tool not in at_hand:
            raise Rejected("tool_missing", f"It takes a {turn.content.items[tool].title}.")
    in_line = sum(job.station == (recipe.station or "") for job in player.jobs.values())
    if len(player.jobs) >= limits.CRAFTING_QUEUE_MAX or (station and in_line >= station.queue):
        raise Rejected("queue_full", "Too much work is in line already.")
    if not has_room(player):
        raise Rejected("bag_full", NO_ROOM)


def _reminder(job_id: str, at: int) -> Remind:
    return Remind(f"craft:{job_id}", at, FinishCraft(id=job_id))


class CraftBegun(Event[Player]):
    """Ingredients were used up for a piece of work."""

    public = True

    id: str
    job: Job
    at: int

    def apply(self, player: Player) -> None:
        player.jobs[self.id] = self.job.model_copy(update={"lots": [lot.copied() for lot in self.job.lots]})

    def push(self) -> Mapping[str, Any]:
        return {"crafting": {self.id: {"recipe": self.job.recipe, "readyAt": rfc3339(self.job.ready_at)}}}


class FinishCraft(Command[Player]):
    """The time of a piece of work is over: it succeeds or fails by the turn's dice. Again it does nothing."""

    id: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        job = player.jobs.get(self.id)
        if job is None:
            return {}
        recipe = turn.content.recipes.get(job.recipe)
        if recipe is None:
            # It is no longer part of the game.
            yield CraftCancelled(id=self.id, recipe=job.recipe, times={}, at=turn.at)
            yield _given_back(player, turn, job)
            return {"succeeded": False}
        succeeded = recipe.chance == 100 or turn.random.randrange(100) < recipe.chance
        outcome = recipe.outputs if succeeded else recipe.salvage
        finished = Crafted if succeeded else CraftFailed
        yield finished(id=self.id, recipe=job.recipe, items=dict(outcome), at=turn.at)
        if outcome:
            yield received(player, turn, f"craft:{job.recipe}", outcome, by=player.id, owed=True)
        if succeeded:
            yield from gained(player, turn, recipe.experience, f"craft:{job.recipe}")
        return {"succeeded": succeeded, "items": dict(outcome)}


class Crafted(Event[Player]):
    """A piece of work succeeded, and made these items."""

    public = True

    id: str
    recipe: str
    items: dict[str, int]
    at: int

    def apply(self, player: Player) -> None:
        del player.jobs[self.id]

    def push(self) -> Mapping[str, Any]:
        return {"crafting": {self.id: {"recipe": self.recipe, "succeeded": True}}}


class CraftFailed(Event[Player]):
    """A piece of work failed, and left these items."""

    public = True

    id: str
    recipe: str
    items: dict[str, int]
    at: int

    def apply(self, player: Player) -> None:
        del player.jobs[self.id]

    def push(self) -> Mapping[str, Any]:
        return {"crafting": {self.id: {"recipe": self.recipe, "succeeded": False}}}


class CancelCraft(Command[Player]):
    """A piece of work is given up; its ingredients come back, and what stood behind it in line moves up."""

    public = True

    id: Key

    def decide(self, player: Player, turn: Turn) -> Effects:
        job = player.jobs.get(self.id)
        if job is None:
            raise Rejected("craft_unknown", "There is no such piece of work.")
        if job.ready_at <= turn.at:
            raise Rejected("craft_finished", "It is too late: it is done.")
        times = _moved_up(player, self.id, turn.at)
        back = _given_back(player, turn, job)
        yield CraftCancelled(id=self.id, recipe=job.recipe, times=times, at=turn.at)
        yield back
        yield Forget(f"craft:{self.id}")
        for other, (_, ready_at) in times.items():
            yield _reminder(other, ready_at)
        return {"items": dict(back.items)}


def _given_back(player: Player, turn: Turn, job: Job) -> ItemsReceived:
    loose, uniques = parted(job.lots)
    return received(player, turn, f"craft_cancelled:{job.recipe}", loose, uniques, player.id, owed=True)


def _moved_up(player: Player, gone: str, at: int) -> dict[str, list[int]]:
    """When work at the same station that stood behind it begins and is ready now, by id."""
    times: dict[str, list[int]] = {}
    station, free_at, behind = player.jobs[gone].station, at, False
    for job_id, job in player.jobs.items():
        if job_id == gone:
            behind = True
        elif job.station == station and behind:
            times[job_id] = [free_at, free_at + job.ready_at - job.starts_at]
            free_at = times[job_id][1]
        elif job.station == station:
            free_at = max(free_at, job.ready_at)
    return times


class CraftCancelled(Event[Player]):
    """A piece of work was given up. `times` are [start, ready] of what moved up."""

    id: str
    recipe: str
    times: dict[str, list[int]]
    at: int

    def apply(self, player: Player) -> None:
        del player.jobs[self.id]
        for job_id, (starts_at, ready_at) in self.times.items():
            player.jobs[job_id].starts_at = starts_at
            player.jobs[job_id].ready_at = ready_at

    def push(self) -> Mapping[str, Any]:
        return {"crafting": {self.id: None}}


class Crafting(Query[Player]):
    """The work under way and in line, the earliest first."""

    public = True

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        def state(job: Job) -> str:
            if job.ready_at <= turn.at:
                return "ready"
            return "running" if job.starts_at <= turn.at else "waiting"

        jobs = sorted(player.jobs.items(), key=lambda pair: pair[1].ready_at)
        return {
            "jobs": [
                {
                    "id": job_id,
                    "recipe": job.recipe,
                    "station": job.station or None,
                    "state": state(job),
                    "startsAt": rfc3339(job.starts_at),
                    "readyAt": rfc3339(job.ready_at),
                }
                for job_id, job in jobs
            ]
        }


class Recipes(Query[Player]):
    """What can be made, by name, a page at a time; `next` continues after the page."""

    public = True

    station: Key | None = None
    after: Key | None = None
    limit: Annotated[int, Field(ge=1, le=limits.CONTENT_PAGE_MAX)] = limits.PAGE_ITEMS

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        known = turn.content.recipes
        names = [
            name
            for name in turn.content.names_after("recipes", self.after)
            if self.station is None or known[name].station == self.station
        ]
        page = names[: self.limit]
        at_hand = counted(stack for stack in player.bag.values() if not stack.locked)
        return {
            "recipes": [_shown(name, known[name], player, at_hand) for name in page],
            "next": page[-1] if len(names) > len(page) else None,
        }


def _shown(name: str, recipe: Recipe, player: Player, at_hand: Mapping[str, int]) -> dict[str, Any]:
    return {
        "recipe": name,
        "title": recipe.title,
        "station": recipe.station,
        "level": recipe.level,
        "ingredients": dict(recipe.ingredients),
        "tools": list(recipe.tools),
        "takesS": recipe.takes_s,
        "chance": recipe.chance,
        "outputs": dict(recipe.outputs),
        "enough": all(at_hand.get(item, 0) >= count for item, count in recipe.ingredients.items()),
    }

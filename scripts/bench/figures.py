"""The figures that are measured, what they are held to, and the rounds they come from."""

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure: what it is, the floor that must hold, and the aim. `x` is a ratio to a plain program."""

    key: str
    what: str
    unit: str
    floor: float
    aim: float
    more_is_better: bool = False

    def verdict(self, value: float) -> str:
        """`aim`, `floor` or `missed`."""
        sign = 1 if self.more_is_better else -1
        if sign * value >= sign * self.aim:
            return "aim"
        return "floor" if sign * value >= sign * self.floor else "missed"


GOALS: tuple[Goal, ...] = (
    Goal("1", "durable score command, 64 x 8, against single-row INSERTs at 64 clients", "x", 1.0, 2.0, True),
    Goal("2", "the same at 64 x 1", "x", 0.5, 1.0, True),
    Goal("3", "full action flow, 64 x 4, against single-row INSERTs at 64 clients", "x", 0.25, 0.5, True),
    Goal("4", "Postgres CPU for one durable command at 64 x 8", "us", 20, 8),
    Goal("5", "a lone client's durable command, p50, against a lone INSERT", "x", 4, 2),
    Goal("6a", "light query through an actor, 64 x 8, against a bare aiohttp JSON echo", "x", 0.35, 0.6, True),
    Goal("6b", "what the gateway answers itself (top 10), against the same echo", "x", 0.7, 1.0, True),
    Goal("7", "fan-out to 1,000 sockets, deliveries per server-CPU-second, against a plain loop", "x", 1.3, 2.0, True),
    Goal("8", "memory of an idle session with its awake player", "KB", 30, 20),
    Goal("9a", "board of 1,000,000: one write in the shard", "us", 25, 15),
    Goal("9b", "board of 1,000,000: one exact rank in the shard", "us", 25, 15),
    Goal("9c", "board of 1,000,000: rebuild", "s", 20, 8),
    Goal("10a", "100,000 players stored: wake one, p50", "ms", 5, 2),
    Goal("10b", "100,000 players stored: wake 1,000 at once", "s", 1.0, 0.3),
    Goal("11a", "serve to ready", "s", 15, 8),
    Goal("11b", "idle memory (PSS) of everything", "GB", 1.2, 0.9),
    Goal("12", "import of 47,000 goals, each acknowledged durable", "s", 60, 10),
    Goal("13", "mixed game, 128 x 4, durable commands against scores alone by the same players", "x", 0.5, 0.8, True),
    Goal("14a", "deciding a turn of the mixed game, without plumbing, p50", "us", 50, 25),
    Goal("14b", "the dearest command of the game, p50", "us", 50, 25),
)


@dataclass(slots=True)
class Series:
    """One figure's rounds, and beside them whatever explains them, round by round."""

    rounds: list[float] = field(default_factory=list)
    details: dict[str, list[float]] = field(default_factory=dict)

    def add(self, value: float, **details: float) -> None:
        self.rounds.append(value)
        for name, detail in details.items():
            self.details.setdefault(name, []).append(detail)

    @property
    def median(self) -> float:
        return median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.rounds), max(self.rounds)


@dataclass(slots=True)
class Results:
    """Everything a run found out."""

    series: dict[str, Series] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, value: float, **details: float) -> None:
        """One round of one figure."""
        self.series.setdefault(key, Series()).add(value, **details)

    def add_detail(self, key: str, name: str, value: float) -> None:
        """One more detail of a figure's latest round."""
        self.series[key].details.setdefault(name, []).append(value)

    def remark(self, key: str, text: str) -> None:
        """Why a figure is missing, or what must be known to read it."""
        self.remarks[key] = text

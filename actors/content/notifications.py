"""Content of notifications: what players are told, in which words of which language, and what they may switch off."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from actors.content.part import Faults, Part, missing
from schemas import limits
from schemas.shape import Key, Line, Text

if TYPE_CHECKING:
    from actors.content import Content

_FIELD = re.compile(r"\{([^{}]*)\}")

Details = Mapping[str, str | int | bool]


class Wording(Part):
    """The words of one language; `{name}` stands for a field."""

    title: Line
    body: Text

    def filled(self, data: Details) -> tuple[str, str]:
        """Title and body with what the fields are."""

        def value(found: "re.Match[str]") -> str:
            return str(data.get(found.group(1), ""))

        return _FIELD.sub(value, self.title), _FIELD.sub(value, self.body)

    def fields(self) -> set[str]:
        """What it wants filled in."""
        return {*_FIELD.findall(self.title), *_FIELD.findall(self.body)}


class NoticeKind(Part):
    """A kind of notification, such as news of friends."""

    title: Line
    optional: bool = True
    """Whether a player may switch it off."""


class Template(Part):
    """What one notification says."""

    kind: Key
    fields: Annotated[list[Key], Field(max_length=limits.ATTRIBUTES_MAX)] = []
    away: bool = False
    """Whether it is also mailed, or pushed to the phone, where the player chose so and is not there to see it."""
    lives_days: Annotated[int, Field(ge=1, le=limits.NOTICE_DAYS_MAX)] = 30
    texts: Annotated[dict[Key, Wording], Field(min_length=1, max_length=limits.LANGUAGES_MAX)]
    """By language, such as `en` or `pt-BR`."""


class Notifications(Part):
    """Everything that players can be told."""

    language: Key = "en"
    """The language of players who chose none, and of what is not written in theirs."""
    kinds: Annotated[dict[Key, NoticeKind], Field(max_length=limits.NOTICE_KINDS_MAX)] = {}
    templates: Annotated[dict[Key, Template], Field(max_length=limits.TEMPLATES_MAX)] = {}

    def wording(self, template: str, language: str) -> Wording | None:
        """The words in this language, or in one that is near, or in the usual one; None for an unknown template."""
        found = self.templates.get(template)
        if found is None:
            return None
        texts = found.texts
        return texts.get(language) or texts.get(language.partition("-")[0]) or texts.get(self.language)

    def rendered(self, template: str, language: str, data: Details) -> tuple[str, str]:
        """Title and body. What nobody has written words for is told by its name and its fields."""
        wording = self.wording(template, language)
        if wording is not None:
            return wording.filled(data)
        return template.replace("_", " "), ", ".join(f"{name}: {value}" for name, value in data.items())


def faults_of_notifications(content: "Content") -> Faults:
    """Templates whose kind or usual language is not there, or that want filled in what nobody gives them."""
    notifications = content.notifications
    faults: Faults = []
    for name, template in notifications.templates.items():
        place = f"notifications.templates.{name}"
        faults += missing(f"{place}.kind", "kind of notification", template.kind, notifications.kinds)
        faults += missing(f"{place}.texts", "text in the language", notifications.language, template.texts)
        for language, wording in template.texts.items():
            for field in sorted(wording.fields()):
                faults += missing(f"{place}.texts.{language}", "field", field, template.fields)
    return faults

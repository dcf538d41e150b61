"""Reads a folder of content files, and says precisely what is wrong with them: file, line, field, and what is right."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from actors.content import Content, dangling
from schemas import limits

FILES = tuple(name for name in Content.model_fields if name not in ("version", "note"))
"""Each is `<name>.yaml` in the folder, and the part of that name in the content."""
FILE_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong. `line` counts from 1; 0 stands for the whole file."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class ContentFaults(Exception):
    """Everything that is wrong with a folder of content."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = sorted(set(faults))
        super().__init__("\n".join(map(str, self.faults)))


def load_content(folder: Path, version: int = 0, note: str | None = None) -> Content:
    """The content of the folder; raises ContentFaults with all faults at once."""
    if not folder.is_dir():
        raise ContentFaults([Fault(str(folder), 0, "", "there is no such folder")])
    faults = [
        Fault(path.name, 0, "", f"is no content file; there are {', '.join(f'{name}.yaml' for name in FILES)}")
        for path in [*folder.glob("*.yaml"), *folder.glob("*.yml")]
        if path.stem not in FILES or path.suffix != ".yaml"
    ]
    places = Places()
    parts: dict[str, Any] = {}
    for name in FILES:
        path = folder / f"{name}.yaml"
        if path.exists():
            parts[name], found = _read(path, name, places)
            faults += found
    readable = {name: part for name, part in parts.items() if part is not None}
    try:
        content = Content.model_validate({"version": version, "note": note, **readable}, context={"lenient": True})
    except ValidationError as error:
        faults += [_fault(places, item["loc"], item["msg"]) for item in error.errors()]
        raise ContentFaults(faults) from None
    faults += [_fault(places, tuple(place.split(".")), message) for place, message in dangling(content)]
    if faults:
        raise ContentFaults(faults)
    return content


class Places:
    """Where in which file each field stands."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, ...], tuple[str, int]] = {}

    def note(self, path: tuple[str, ...], file: str, line: int) -> None:
        self._lines[path] = (file, line)

    def find(self, path: tuple[str, ...]) -> tuple[str, int, str]:
        """File, line and field of the path, or of the nearest thing around it that has a place."""
        known = tuple(part for index, part in enumerate(path) if path[: index + 1] in self._lines or index == 0)
        for end in range(len(known), 0, -1):
            if known[:end] in self._lines:
                file, line = self._lines[known[:end]]
                return file, line, ".".join(path[1:])
        return f"{path[0] if path else 'content'}.yaml", 0, ".".join(path[1:])


def _fault(places: Places, location: tuple[Any, ...], message: str) -> Fault:
    file, line, field = places.find(tuple(map(str, location)))
    return Fault(file, line, field, message)


def _read(path: Path, name: str, places: Places) -> tuple[Any, list[Fault]]:
    """The file's data (None when it cannot be read), with the line of each field noted."""
    if path.stat().st_size > FILE_BYTES_MAX:
        return None, [Fault(path.name, 0, "", f"is larger than {FILE_BYTES_MAX} bytes")]
    reading = _Reading(path.name, places)
    try:
        return reading.read(path.read_text("utf-8"), name), reading.faults
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 (byte {error.start})"
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        return None, [Fault(path.name, line, "", f"is no YAML: {error.problem}")]
    except yaml.YAMLError as error:
        message = f"is no YAML: {error}"
    return None, [Fault(path.name, 0, "", message)]


class _Reading:
    """One file on its way from text to data."""

    def __init__(self, file: str, places: Places) -> None:
        self.file = file
        self.places = places
        self.faults: list[Fault] = []

    def read(self, text: str, name: str) -> Any:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent):
                self._fault(line, (name,), f"*{event.anchor} is not possible here; write it out")
                return None
            if depth > limits.NESTING_MAX:
                self._fault(line, (name,), f"is nested deeper than {limits.NESTING_MAX} levels")
                return None
        self.loader = yaml.SafeLoader(text)
        node = self.loader.get_single_node()
        if node is None:
            return {}
        if not isinstance(node, MappingNode):
            self._fault(node.start_mark.line + 1, (name,), "must be a map of names")
            return None
        return self._data(node, (name,))

    def _fault(self, line: int, path: tuple[str, ...], message: str) -> None:
        self.faults.append(Fault(self.file, line, ".".join(path[1:]), message))

    def _data(self, node: Node, path: tuple[str, ...]) -> Any:
        line = node.start_mark.line + 1
        self.places.note(path, self.file, line)
        if isinstance(node, ScalarNode):
            if node.tag == "tag:yaml.org,2002:timestamp":
                return node.value
            return self.loader.construct_object(node)
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._fault(line, path, f"the tag {node.tag} is not possible here")
            return None
        if isinstance(node, SequenceNode):
            return [self._data(item, (*path, str(index))) for index, item in enumerate(node.value)]
        return self._map(node, path)

    def _map(self, node: Node, path: tuple[str, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._fault(line, path, "a name must be a single word")
            elif key_node.value in data:
                self._fault(line, (*path, key_node.value), "stands here twice")
            else:
                data[key_node.value] = self._data(value_node, (*path, key_node.value))
                self.places.note((*path, key_node.value), self.file, line)
        return data

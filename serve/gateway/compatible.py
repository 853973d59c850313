"""Whether callers of one OpenAPI description can call another: a version changes by addition only.

Taken away, asked for in addition, narrowed in what is sent, or widened in what is answered: each breaks somebody. New
paths, optional fields, statuses and values of enumerations in answers do not; callers bear values they do not know.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
# What is sent may not be bounded more tightly: the new bound against the old one.
_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")

Json = Mapping[str, Any]
Way = Literal["sent", "answered"]


def breaking(old: Json, new: Json) -> list[str]:
    """A sentence for each change that breaks callers of `old`; empty if none does."""
    found: list[str] = []
    for path, operations in old.get("paths", {}).items():
        if path not in new.get("paths", {}):
            found.append(f"{path}: the path was removed")
            continue
        for method in METHODS:
            if method not in operations:
                continue
            name = f"{method.upper()} {path}"
            if method not in new["paths"][path]:
                found.append(f"{name}: the method was removed")
                continue
            found += [
                f"{name}: {change}"
                for change in _Comparison(old, new).operation(operations[method], new["paths"][path][method])
            ]
    return found


class _Pair(NamedTuple):
    way: Way
    old: str
    new: str


class _Comparison:
    """Of one operation in two documents."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old = old
        self._new = new
        self._compared: set[_Pair] = set()

    def operation(self, old: Json, new: Json) -> Iterator[str]:
        if not old.get("security") and new.get("security"):
            yield "it needs a token now"
        yield from self._parameters(old, new)
        yield from self._request(old.get("requestBody"), new.get("requestBody"))
        for status, answer in old.get("responses", {}).items():
            if status not in new.get("responses", {}):
                yield f"the status {status} was removed"
            else:
                yield from self._content(answer, new["responses"][status], "answered", f"answer {status}")

    def _parameters(self, old: Json, new: Json) -> Iterator[str]:
        before = {(one["in"], one["name"]): one for one in old.get("parameters", ())}
        after = {(one["in"], one["name"]): one for one in new.get("parameters", ())}
        for (place, name), one in before.items():
            if (place, name) not in after:
                yield f"the {place} parameter {name} was removed"
                continue
            now = after[place, name]
            if now.get("required") and not one.get("required"):
                yield f"the {place} parameter {name} is required now"
            yield from self.schema(one.get("schema", {}), now.get("schema", {}), "sent", f"{place} parameter {name}")
        for (place, name), one in after.items():
            if (place, name) not in before and one.get("required"):
                yield f"the new {place} parameter {name} is required"

    def _request(self, old: Json | None, new: Json | None) -> Iterator[str]:
        if old is None:
            if new is not None and new.get("required"):
                yield "a body is required now"
            return
        if new is None:
            yield "the body was removed"
            return
        if new.get("required") and not old.get("required"):
            yield "the body is required now"
        yield from self._content(old, new, "sent", "body")

    def _content(self, old: Json, new: Json, way: Way, where: str) -> Iterator[str]:
        for kind, content in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{where}: {kind} was removed"
                continue
            yield from self.schema(content.get("schema", {}), new["content"][kind].get("schema", {}), way, where)

    def schema(self, old: Json, new: Json, way: Way, where: str) -> Iterator[str]:
        """`where` names the place in words: ``body/lines/sku``."""
        pair = _Pair(way, old.get("$ref", ""), new.get("$ref", ""))
        if pair.old and pair.new:
            if pair in self._compared:
                return
            self._compared.add(pair)
        before, after = _alternatives(self._old, old), _alternatives(self._new, new)
        # Everything that could be sent has to be taken; everything that is answered has to be known.
        for one in before if way == "sent" else after:
            others = after if way == "sent" else before
            tried = [list(self._one(*((one, x) if way == "sent" else (x, one)), way, where)) for x in others]
            if [] not in tried:
                same = [errors for errors, x in zip(tried, others, strict=True) if _kind(x) == _kind(one)]
                yield from min(same or tried, key=len)

    def _one(self, old: Json, new: Json, way: Way, where: str) -> Iterator[str]:
        before, after = _kind(old), _kind(new)
        narrow, wide = (after, before) if way == "sent" else (before, after)
        if narrow is not None and wide != narrow and not (narrow == "number" and wide == "integer"):
            yield f"{where}: the type was {before or 'anything'} and is {after or 'anything'}"
            return
        yield from _enumeration(old, new, way, where)
        if way == "sent":
            yield from _bounds(old, new, where)
        yield from self._fields(old, new, way, where)
        for part in ("items", "additionalProperties"):
            if isinstance(old.get(part), dict) and isinstance(new.get(part), dict):
                yield from self.schema(old[part], new[part], way, f"{where}/*")

    def _fields(self, old: Json, new: Json, way: Way, where: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        required_before, required = set(old.get("required", ())), set(new.get("required", ()))
        for name, field in before.items():
            if name not in after:
                yield f"{where}/{name}: the field was removed"
            else:
                yield from self.schema(field, after[name], way, f"{where}/{name}")
        if way == "sent":
            for name in sorted(required - required_before):
                yield f"{where}/{name}: the field is required {'now' if name in before else 'and new'}"
        else:
            for name in sorted((required_before - required) & set(after)):
                yield f"{where}/{name}: the field may be missing now"


def _enumeration(old: Json, new: Json, way: Way, where: str) -> Iterator[str]:
    before, after = _values(old), _values(new)
    if way == "answered":
        if before is not None and after is None:
            yield f"{where}: it had certain values and may be anything now"
    elif after is not None:
        if before is None:
            yield f"{where}: only certain values are taken now"
        else:
            gone = [value for value in before if value not in after]
            if gone:
                yield f"{where}: no longer takes {', '.join(map(repr, gone))}"


def _bounds(old: Json, new: Json, where: str) -> Iterator[str]:
    for bound in (*_LOWEST, *_HIGHEST):
        if bound not in new or old.get(bound) == new[bound]:
            continue
        tighter = bound not in old or ((new[bound] > old[bound]) == (bound in _LOWEST))
        if tighter:
            yield f"{where}: {bound} was {old.get(bound, 'not there')} and is {new[bound]}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{where}: the pattern was {old.get('pattern', 'not there')} and is {new['pattern']}"


def _values(schema: Json) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _kind(schema: Json) -> str | None:
    """The one type of an alternative; None: any."""
    kind = schema.get("type")
    if kind is None and "properties" in schema:
        return "object"
    if kind is None and (values := _values(schema)):
        names = {"str": "string", "int": "integer", "bool": "boolean", "NoneType": "null", "float": "number"}
        found = {names.get(type(value).__name__) for value in values}
        return found.pop() if len(found) == 1 else None
    return kind


def _alternatives(document: Json, schema: Json) -> list[Json]:
    """What a schema allows, each with one type and no reference at its top."""
    if "$ref" in schema:
        target: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return _alternatives(document, target)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return [found for one in schema[word] for found in _alternatives(document, one)]
    if len(schema.get("allOf", ())) == 1:
        return _alternatives(document, schema["allOf"][0])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return [{**schema, "type": kind} for kind in kinds]
    return [schema]

"""A stop of a tour as a tree. Every line comes from what was answered, connected or written."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from pipelines.log.base import Happened
from serve.gateway.principals import Principal
from serve.tour.caller import Called
from serve.tour.causes import Hop
from serve.tour.looking import Stop
from serve.tour.places import name_of

SHORT = 8


def tree(number: int, stop: Stop) -> Tree:
    """The whole stop."""
    top = Tree(f"[bold]{number}. {escape(stop.title)}[/]" + (f"  [dim]{escape(stop.says)}[/]" if stop.says else ""))
    for called in stop.calls:
        _add_call(top, called)
    for one in stop.indexed:
        where = f"[dim]in Elasticsearch, {escape(one.home)}[/]"
        top.add(f"[green]document[/] {escape(one.product)} v{one.version}  {where}")
    _add_told(top, stop)
    _add_hops(top, stop)
    return top


def summary(stops: Iterable[Stop]) -> Table:
    """How much each stop set going."""
    table = Table("stop", "calls", "records", "events", "flows that read them", "mails")
    for number, stop in enumerate(stops, 1):
        events = sum(len(hop.record.body.events) for hop in stop.hops) + len(stop.told)
        flows = sorted({flow for flows in stop.read.values() for flow in flows})
        counts = (len(stop.calls), len(stop.hops), events)
        table.add_row(f"{number}. {stop.title}", *map(str, counts), ", ".join(flows) or "-", str(len(stop.mails)))
    return table


def _add_call(top: Tree, called: Called) -> None:
    branch = top.add(f"[cyan]{called.method} {escape(called.path)}[/] → {called.status} in {called.milliseconds} ms")
    for line in _way_of(called):
        branch.add(line)


def _way_of(called: Called) -> list[str]:
    lines = []
    if called.front is not None:
        # Whoever passes nothing on balances nothing.
        lines.append(f"[blue]{'balancer' if called.behind else 'accepted by'}[/]  {called.front}")
        lines += [f"[blue]replica[/]   {process}" for process in called.behind]
    request = f"request {called.request_id}, " if called.request_id else ""
    lines.append(f"[blue]gateway[/]   {request}{_who(called.principal)}")
    if called.service:
        lines.append(f"[blue]service[/]   {escape(called.service)}")
    return lines


def _who(principal: Principal) -> str:
    if principal.kind == "anonymous":
        return "nobody in particular"
    return f"{principal.kind} {principal.id}" + (f" ({', '.join(sorted(principal.roles))})" if principal.roles else "")


def _add_told(top: Tree, stop: Stop) -> None:
    for one in stop.told:
        happened = one.happened
        head = f"[green]row[/] {happened.kind}/{_short(happened.entity)} v{happened.version}"
        _add_event(top.add(f"{head} in {escape(one.home)}"), happened, stop)


def _add_hops(top: Tree, stop: Stop) -> None:
    """Each under the one that it follows from, if that is of this stop."""
    branches: dict[tuple[str, str, int], Tree] = {}
    for hop in stop.hops:
        record, parent = hop.record, hop.cause.parent
        under = branches.get(parent, top) if parent is not None else top
        branch = under.add(
            f"[green]entity[/] {record.kind}/{_short(record.entity)} v{record.version}  [dim]{escape(_why(hop))}[/]"
        )
        if record.home:
            branch.add(f"[green]record[/] {escape(record.home)}")
        branches[record.kind, record.entity, record.version] = branch
        for happened in record.events:
            _add_event(branch, happened, stop)


def _why(hop: Hop) -> str:
    parent = hop.cause.parent
    return hop.cause.how + (f" (v{parent[2]})" if parent is not None else "")


def _add_event(branch: Tree, happened: Happened, stop: Stop) -> None:
    place = stop.places.get(happened.id)
    at = f"  [dim]at {escape(place)}[/]" if place else ""
    event = branch.add(f"[yellow]event[/] {name_of(happened.event)}{at}")
    flows = stop.read.get(happened.id, [])
    if flows:
        event.add(f"[magenta]read by[/] {', '.join(flows)}")
    for mail in stop.mails:
        if mail.event_id == happened.id:
            file = f" “{escape(mail.subject)}” {mail.file}" if mail.file else ""
            event.add(f"[magenta]mail[/] {mail.template}: {mail.outcome}{file}")


def _short(entity: str) -> str:
    """The end of an id: ids of one moment begin alike."""
    return entity if len(entity) <= 2 * SHORT else f"…{entity[-SHORT:]}"

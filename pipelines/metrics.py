"""What flows tell Prometheus."""

from prometheus_client import Counter, Gauge

LAG = Gauge("troupe_flow_lag_seconds", "Age of the oldest event read and not done with.", ["flow"])
HANDLED = Counter("troupe_flow_events_total", "Events done with, dead letters too.", ["flow"])
DEAD_LETTERS = Counter("troupe_flow_dead_letters_total", "Events buried as dead letters.", ["flow"])
PRICES_BEHIND = Gauge("troupe_prices_behind_seconds", "Time since this replica had read every change of a price.")

"""Every bound on what clients may send and actors may hold, by name; units stand last in the name."""

BODY_BYTES_MAX = 64 * 1024
FRAME_BYTES_MAX = 64 * 1024
HEADER_BYTES_MAX = 16 * 1024
NESTING_MAX = 32
COLLECTION_ITEMS_MAX = 1_000
INTEGER_MAX = 2**53 - 1

FIRST_FRAME_WITHIN_S = 10
OUTSTANDING_COMMANDS_MAX = 64
CONNECTIONS_PER_USER_MAX = 20
UNAUTHENTICATED_SOCKETS_MAX = 1_000

OPS_REMEMBERED_MAX = 256
"""Op ids (with their replies) that an awake actor answers from memory; older ones come from the journal."""
OP_CHARS_MAX = 128
KEY_CHARS_MAX = 128
TEXT_CHARS_MAX = 500
NAME_CHARS_MAX = 64

BATCH_ITEMS_MAX = 500
"""Items of one provisioning or award batch."""

MAILBOX_MAX = 1_000
"""Messages that may wait for one actor; the next is refused as overloaded."""
LINK_PENDING_MAX = 20_000
"""Requests that may be unanswered on one link; the next is refused as overloaded."""
GROUP_ROWS_MAX = 500
GROUP_BYTES_MAX = 1024 * 1024
PARCEL_TELLS_MAX = 500
"""Tells to one actor that travel as one outbox row."""

ACTIONS_HELD_MAX = 200
"""Action tokens that one player may have open."""
ACTIONS_USED_MAX = 200
"""Used tokens that a player remembers (for an hour); older ones are unknown. The journal keeps all."""
ACTIONS_PER_MINUTE_MAX = 10_000
COMPLETIONS_REMEMBERED_MAX = 50
"""Newest completions of a player that fraud rules can look at."""
SIGHTED_PLAYERS_MAX = 100
"""Players that are told apart behind one address or device."""
SIGHTED_PLACES_MAX = 10_000
"""Addresses and devices that one fraud detector remembers; the longest silent ones are forgotten first."""
INCIDENTS_PER_CASE_MAX = 100
REWARDED_RANKS_MAX = 100
TOP_ROWS_MAX = 100
"""Rows of a board that one question can ask for, and that are kept in caches."""
AROUND_ROWS_MAX = 50
LEDGER_ENTRIES_MAX = 200
"""Newest wallet entries kept in the state; all of them stay in the journal."""
INBOX_MAX = 200
CURRENCIES_MAX = 50
BOARDS_PER_PLAYER_MAX = 50
ATTRIBUTES_MAX = 16
DETECTOR_PLAYERS_MAX = 100_000
"""Players whose recent timing one fraud detector remembers; the longest silent ones are forgotten first."""
CASES_PER_DETECTOR_MAX = 10_000

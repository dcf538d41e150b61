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
ID_CHARS_MAX = 64
"""Ids that the server gives, and the codes of refusals."""
TIME_CHARS_MAX = 64
PAGE_ITEMS = 50
"""How many one answer lists when nobody says how many."""

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
SURPLUS_MAX = 2**62
"""Of one currency that waits for room in a wallet: more than all players together could bring."""
INBOX_MAX = 200
CURRENCIES_MAX = 50
BOARDS_PER_PLAYER_MAX = 50
ATTRIBUTES_MAX = 16
DETECTOR_PLAYERS_MAX = 100_000
"""Players whose recent timing one fraud detector remembers; the longest silent ones are forgotten first."""
CASES_PER_DETECTOR_MAX = 10_000
CONTENT_ENTRIES_MAX = 10_000
"""Entries of one section of content, such as items or recipes."""
LEVELS_MAX = 500
STATS_MAX = 32
RESOURCES_MAX = 8
EFFECTS_MAX = 32
"""Effects on one player at a time."""
SKILLS_MAX = 100
"""Skills that one player can learn."""
EQUIPMENT_SLOTS_MAX = 16
STACK_MAX = 10_000
BAG_SLOTS_MAX = 500
REWARD_ITEMS_MAX = 20
"""Kinds of items in one reward."""
UNIQUES_AT_ONCE_MAX = 100
"""Unique items that come in one turn."""
ITEM_MARKS_MAX = 8
"""Hands that a unique item remembers: who made it, and the newest; the journal knows them all."""
STATIONS_MAX = 50
INGREDIENTS_MAX = 16
CRAFTING_QUEUE_MAX = 20
"""Pieces of work that one player has under way and in line."""
UNIQUE_OUTPUTS_MAX = 5
"""Of one unique item in one recipe."""
CONTENT_PAGE_MAX = 100
"""Items or recipes in one answer."""
ITEMS_WAITING_MAX = 200
"""Lots that wait for room in a full bag; more are refused, and wait with their sender."""
GUILDS_MAX = 100_000
"""Guilds that the directory lists."""
GUILD_MEMBERS_MAX = 200
"""What content may allow at most."""
GUILD_REQUESTS_MAX = 100
GUILD_INVITATIONS_MAX = 100
"""Invitations of one guild that are open at a time."""
INVITATIONS_HELD_MAX = 50
"""Invitations that one player sees; the oldest give way, and stay good at their guild."""
GUILD_SLOTS_MAX = 200
GUILD_LOG_MAX = 200
"""Newest entries of a guild's bank ledger and of its storage log; all of them stay in the journal."""
TERRITORIES_MAX = 50
"""Territories that one guild holds."""
QUESTS_MAX = 1_000
"""Quests of one content."""
OBJECTIVES_MAX = 10
REQUIREMENTS_MAX = 10
TRIGGERS_MAX = 10
"""What brings one objective or achievement forward."""
CONDITIONS_MAX = 8
RESETS_MAX = 20
QUESTS_ACTIVE_MAX = 50
"""Quests that a player is on at a time."""
QUESTS_REMEMBERED_MAX = 2_000
"""Completed quests of a player, those included that are in no content any more; beyond them none is begun."""
ACHIEVEMENTS_MAX = 1_000
"""Achievements of one content, and of one player, those included that are in no content any more."""
TIERS_MAX = 10
ROOMS_MAX = 100
CHANNEL_MEMBERS_MAX = 1_000
MESSAGES_KEPT_MAX = 200
"""Newest messages in a channel's state; older pages come from the journal."""
MESSAGES_AMENDED_MAX = 5_000
"""Messages that were edited or deleted after they left the state; beyond that the oldest part of the history ends."""
MESSAGES_IN_WINDOW_MAX = 100
HISTORY_PAGE_MAX = 100
HISTORY_TURNS_MAX = 200
"""Turns of the journal that one page of history looks at."""
MENTIONS_MAX = 20
FILTERED_WORDS_MAX = 1_000
SILENCED_MAX = 1_000
"""Players that are silenced in one channel at a time."""
TRADE_STACKS_MAX = 20
"""Kinds of items, and unique items, that one side of a trade puts up."""
CHAT_CASES_MAX = 2_000
"""Reported messages on the moderators' desk; closed cases give way first, then the oldest."""
REPORTERS_MAX = 20
"""Players whose reasons one case keeps."""
FRIENDS_MAX = 200
"""Friends and requests that wait for an answer, together."""
FRIEND_REQUESTS_MAX = 100
"""Requests of others that wait for this player's answer."""
BLOCKED_MAX = 200
MUTED_MAX = 200
TEMPLATES_MAX = 500
LANGUAGES_MAX = 50
NOTICE_KINDS_MAX = 50
NOTICE_DAYS_MAX = 365

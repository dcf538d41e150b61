/** What can be said to each kind of actor. Made from the catalog by `python -m scripts.typescript`: do not edit. */

/** By kind and name: requests that change an actor. */
export interface Commands {
  channel: {
    /** Take back what one has said not long ago. */
    delete: { message: number };
    /** Say otherwise what one has said not long ago. */
    edit: { message: number; text: string };
    /** A moderator puts a player out of a room. */
    expel: { player: string; reason: string };
    /** Come into a room. */
    join: Record<string, never>;
    /** Go out of a room; its pushes end with that. */
    leave: Record<string, never>;
    /** One of the two has read what was said; of the next message it is told again. */
    mark_read: Record<string, never>;
    /** A moderator takes a message away, however old it is. */
    remove_message: { message: number; reason: string };
    /** Show a message to the moderators. */
    report_message: { message: number; reason: string };
    /** Say something. The first message to somebody opens the direct channel of the two. */
    send: { text: string; mentions?: Array<string> };
    /** A moderator lets a player say nothing in this channel for so many minutes; 0 ends it. */
    silence: { player: string; minutes: number; reason: string };
  };
  desk: {
    /** A moderator has looked at a case: it was right to report it, or not. */
    close_case: { caseId: string; verdict: "upheld" | "dismissed"; note: string };
  };
  fraud: {
    /** A moderator agrees: what was done stands. */
    confirm_case: { caseId: string; reason?: string | null };
    /** A moderator finds the player innocent: flag, limits, suspension and ban of the case are undone. */
    dismiss_case: { caseId: string; reason: string };
    /** The account was reinstated: the detector no longer holds anything against the player. */
    pardon: { player: string; reason: string };
  };
  guild: {
    /** The caller, who was invited, becomes a member. */
    accept_invitation: Record<string, never>;
    /** Somebody who asked to join is let in. */
    accept_request: { player: string };
    /** A moderator makes a member the leader, because the one there was is gone for good. */
    appoint_leader: { player: string; reason: string };
    /** The caller would not like to join any more. */
    cancel_request: Record<string, never>;
    /** The guild has won a territory. Whoever decides about the fight takes it from its last owner. */
    claim_territory: { territory: string };
    /** Another guild fights for a territory, or (with nobody) has given up. Meanwhile it yields nothing. */
    contest_territory: { territory: string; by?: string | null };
    /** Found the guild under this key. The reply waits for its name and for the payment. */
    create: { name: string; open?: boolean; description?: string | null };
    /** The caller, who was invited, would rather not. */
    decline_invitation: Record<string, never>;
    /** Somebody who asked to join is not let in. */
    decline_request: { player: string };
    /** An officer becomes a member. */
    demote: { player: string };
    /** A member pays into the bank. The reply waits for the payment, and for the bank's new balance. */
    deposit: { currency: string; amount: number };
    /** Change what the guild says of itself, and whether anyone may join. */
    describe: { description?: string | null; open?: boolean | null };
    /** The guild is no more. Its bank goes to the leader; its storage must be empty. */
    disband: Record<string, never>;
    /** Ask a player to join. One who has asked to join is let in. */
    invite: { player: string };
    /** Become a member of an open guild, or of one that has invited the caller; else ask to. */
    join: Record<string, never>;
    /** A member of lower rank must go. */
    kick: { player: string };
    /** The caller belongs to the guild no longer. A leader hands over first, or disbands. */
    leave: Record<string, never>;
    /** A territory is the guild's no longer. */
    lose_territory: { territory: string };
    /** A member becomes an officer. */
    promote: { player: string };
    /** An invitation is taken back. */
    revoke_invitation: { player: string };
    /** A member hands items in: so many of each, and whole stacks by their ids. The reply waits for it. */
    store_items: { items?: Record<string, number>; ids?: Array<string> };
    /** Items go from the storage to the caller: so many of each, and whole slots by their ids. */
    take_out_items: { items?: Record<string, number>; ids?: Array<string> };
    /** Another member leads from now on; who led becomes an officer. */
    transfer_leadership: { player: string };
    /** An amount goes from the bank to a member, by default to the caller. */
    withdraw: { currency: string; amount: number; member?: string | null };
  };
  player: {
    /** The player gives up a quest, and what was done for it. */
    abandon_quest: { quest: string };
    /** Be friends with somebody who asked. */
    accept_friend: { player: string };
    /** A trusted game server gives experience. */
    award_experience: { amount: number; reason: string };
    /** A trusted game server gives items; what does not fit into the bag waits. */
    award_items: { items: Record<string, number>; reason: string };
    /** A trusted game server gives points. `at` is when they were earned, as RFC 3339; without it, now. */
    award_score: { points: number; board?: string; reason?: string | null; attributes?: Record<string, string | number | boolean> | null; at?: string | null };
    /** Let somebody reach this player no more: no direct message, no request, no invitation. It is not told so. */
    block_player: { player: string };
    /** A piece of work is given up; its ingredients come back, and what stood behind it in line moves up. */
    cancel_craft: { id: string };
    /** What waited comes into the bag, the oldest first, as far as there is room now. */
    claim_items: Record<string, never>;
    /** Finish an action with its token: its points count, once. */
    complete_action: { actionId: string; actionToken: string };
    /** The player turns in a quest whose objectives are met; what it brings follows. */
    complete_quest: { quest: string };
    /** A piece of work is begun, or stands in line at its station. */
    craft: { recipe: string };
    /** Do not be friends with somebody who asked. */
    decline_friend: { player: string };
    /** Messages go out of the inbox; those that are gone already are none the worse for it. */
    delete_messages: { ids: Array<string> };
    /** Items are thrown away for good; the whole stack when no number is said. */
    discard_items: { stackId: string; quantity?: number | null };
    /** A unique item is put on; what was worn there lies in the bag in its place. */
    equip: { stackId: string; slot?: string | null };
    /** Begin an action of the family's type. */
    generate_action: Record<string, never>;
    /** A trusted game server puts an amount into the wallet. */
    grant_currency: { currency: string; amount: number; reason: string };
    /** Use a token: the score goes up by the points of the family's action type. */
    increment_score: { actionToken: string };
    /** What is locked cannot be used up, discarded, crafted with or given away, until it is unlocked. */
    lock_stack: { stackId: string; locked?: boolean };
    /** Messages were read. */
    mark_read: { ids: Array<string> };
    /** A stack goes onto another of the same item, as much of it as there is room for. */
    merge_stacks: { stackId: string; onto: string };
    /** A stack goes to another slot; what lies there comes to the slot it leaves. */
    move_stack: { stackId: string; slot: number };
    /** Be told no more of what somebody does, such as mentions. Clients hide what it says in rooms. */
    mute_player: { player: string };
    /** End a friendship, or take back a request. */
    remove_friend: { player: string };
    /** Ask somebody to be a friend, or accept when it asked first. */
    request_friend: { player: string };
    /** Ask for a token that is good for one increment, for a short time. */
    request_token: Record<string, never>;
    /** Say how one wants to be told; what is left out stays as it is. */
    set_notices: { language?: string | null; off?: Array<string> | null; mail?: boolean | null; push?: boolean | null };
    /** Some of a stack goes to a free slot, and is a stack of its own. */
    split_stack: { stackId: string; quantity: number };
    /** Begin an action; the reply has the token that completes it. */
    start_action: { type: string; attributes?: Record<string, string | number | boolean> | null };
    /** The player takes on a quest; who is on it already stays on it. */
    start_quest: { quest: string };
    /** Let somebody reach this player again. */
    unblock_player: { player: string };
    /** What is worn goes into the bag. */
    unequip: { slot: string };
    /** Be told again. */
    unmute_player: { player: string };
    /** Finish an action with the hash and the timestamp that came with it. */
    update_score: { actionId: string; hash: string; timestamp: number };
    /** One of a stack is used: it restores, begins effects, gives experience, or teaches. */
    use_item: { stackId: string };
  };
  trade: {
    /** The caller does not want to trade any more. */
    cancel: Record<string, never>;
    /** The caller agrees to both offers as of the revision that it has seen. When both have, they put them up. */
    confirm: { revision: number };
    /** A gift: goods go to another player for nothing. The key is new, and the caller's choice. */
    give: { to: string; goods: { items?: Record<string, number>; ids?: Array<string>; currencies?: Record<string, number> } };
    /** What the caller would put up, instead of what it offered before; nobody has confirmed then. */
    offer: { goods: { items?: Record<string, number>; ids?: Array<string>; currencies?: Record<string, number> } };
    /** Two players begin to bargain. The key of the trade is new, and the caller's choice. */
    open: { partner: string };
  };
}

/** By kind and name: questions to one actor. */
export interface Queries {
  achievement: {
    /** How many players have each tier, the lowest first. */
    holders: Record<string, never>;
  };
  channel: {
    /** A page of messages, newest first. `next` is where the following page begins; it is null at the end. A page may */
    history: { before?: number; limit?: number };
    /** Who is in the channel, in the order in which they came, and whose `presence` may be told: that of all, or, in a */
    members: { after?: number; limit?: number };
  };
  desk: {
    /** Cases of a status, newest first. */
    reports: { status?: "open" | "upheld" | "dismissed"; limit?: number };
  };
  guild: {
    /** What the bank holds and the newest changes to it, newest first; for members. */
    bank: { limit?: number };
    /** Open invitations and requests, for members. */
    candidates: Record<string, never>;
    /** What anyone may know of the guild: what it is, and who belongs to it. */
    profile: Record<string, never>;
    /** What lies in the storage and the newest changes to it, newest first; for members. */
    storage: { limit?: number };
  };
  guild_directory: {
    /** Guilds by the beginning of the name or of one of its words, by level and openness. */
    search: { name?: string; levelMin?: number; levelMax?: number; open?: boolean | null; limit?: number; after?: string | null };
  };
  player: {
    /** How far the player is with each achievement, and which tiers it has. */
    achievements: Record<string, never>;
    /** An action that is `active`, `expired` or `consumed`. Refused as `action_unknown` when it is none of these. */
    action: { actionId: string };
    /** The work under way and in line, the earliest first. */
    crafting: Record<string, never>;
    /** Friends, requests in both directions, and who was blocked or muted. */
    friends: Record<string, never>;
    /** The messages that are not out of date, newest first, and how many are unread. */
    inbox: { limit?: number; unread?: boolean };
    /** All that the player has: in the bag by slot, worn, and waiting for room. */
    inventory: Record<string, never>;
    /** All items of the game, by name, a page at a time; `next` continues after the page. */
    items: { after?: string | null; limit?: number };
    /** How the player wants to be told, and what it can choose from. */
    notices: Record<string, never>;
    /** The player's guild, and the invitations of others that are good still. */
    own_guild: Record<string, never>;
    /** The whole sheet, for the player itself. */
    profile: Record<string, never>;
    /** What anyone may know of a player. */
    public_profile: Record<string, never>;
    /** What the player can start, what it is on, and what it has completed. */
    quests: Record<string, never>;
    /** What can be made, by name, a page at a time; `next` continues after the page. */
    recipes: { station?: string | null; after?: string | null; limit?: number };
    /** The skills that the player knows: what each is called, what using it takes, and how long it rests afterwards. */
    skills: Record<string, never>;
    /** What the player owns, what waits for room, and the newest changes to the wallet, newest first. */
    wallet: { limit?: number };
  };
  trade: {
    /** What is offered, who agreed, and what came of it; for those who trade. */
    terms: Record<string, never>;
  };
}

/** By kind and name: questions that several actors answer together. */
export interface Gathers {
  fraud: {
    /** A case with its incidents, from the detector that holds it. */
    case: { caseId: string };
    /** The newest cases of all detectors, newest first. */
    cases: { status?: "open" | "confirmed" | "dismissed" | null; limit?: number };
  };
  leaderboard: {
    /** The rows next to a subject (by default the caller), its own in the middle. */
    around: { window?: number; subject?: string | null };
    /** The caller's own row of a board. */
    me: Record<string, never>;
    /** A subject's row of a board. */
    rank: { subject: string };
    /** The first rows of a board. */
    top: { limit?: number };
  };
  player: {
    /** A player's score and rank on a board, and the player's version. */
    score: { board?: string };
  };
}

/** What can be said to each kind of actor. Made from the catalog by `python -m scripts.typescript`: do not edit. */

/** By kind and name: requests that change an actor. */
export interface Commands {
  fraud: {
    /** A moderator agrees: what was done stands. */
    confirm_case: { caseId: string; reason?: string | null };
    /** A moderator finds the player innocent: flag, limits, suspension and ban of the case are undone. */
    dismiss_case: { caseId: string; reason: string };
    /** The account was reinstated: the detector no longer holds anything against the player. */
    pardon: { player: string; reason: string };
  };
  player: {
    /** A trusted game server gives points. `at` is when they were earned, as RFC 3339; without it, now. */
    award_score: { points: number; board?: string; reason?: string | null; attributes?: Record<string, string | number | boolean> | null; at?: string | null };
    /** Finish an action with its token: its points count, once. */
    complete_action: { actionId: string; actionToken: string };
    /** Messages go out of the inbox; those that are gone already are none the worse for it. */
    delete_messages: { ids: Array<string> };
    /** Begin an action of the family's type. */
    generate_action: Record<string, never>;
    /** A trusted game server puts an amount into the wallet. */
    grant_currency: { currency: string; amount: number; reason: string };
    /** Use a token: the score goes up by the points of the family's action type. */
    increment_score: { actionToken: string };
    /** Messages were read. */
    mark_read: { ids: Array<string> };
    /** Ask for a token that is good for one increment, for a short time. */
    request_token: Record<string, never>;
    /** Begin an action; the reply has the token that completes it. */
    start_action: { type: string; attributes?: Record<string, string | number | boolean> | null };
    /** Finish an action with the hash and the timestamp that came with it. */
    update_score: { actionId: string; hash: string; timestamp: number };
  };
}

/** By kind and name: questions to one actor. */
export interface Queries {
  player: {
    /** An action that is `active`, `expired` or `consumed`. Refused as `action_unknown` when it is none of these. */
    action: { actionId: string };
    /** The messages that are not out of date, newest first, and how many are unread. */
    inbox: { limit?: number; unread?: boolean };
    /** The whole sheet, for the player itself. */
    profile: Record<string, never>;
    /** What anyone may know of a player. */
    public_profile: Record<string, never>;
    /** What the player owns, and the newest changes to it, newest first. */
    wallet: { limit?: number };
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

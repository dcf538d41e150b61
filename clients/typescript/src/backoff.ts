/** How long to wait before trying again: exponential, with full jitter. */
export class Backoff {
  constructor(
    readonly baseS = 0.1,
    readonly capS = 5,
    readonly attemptsMax = 8,
  ) {}

  /** Seconds to wait before attempt number `attempt` + 1; a server's hint is a floor with the jitter on top. */
  delayS(attempt: number, atLeastS = 0): number {
    return atLeastS + Math.random() * Math.min(this.capS, this.baseS * 2 ** Math.min(attempt, 30));
  }
}

/** Resolves after so many seconds. */
export function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

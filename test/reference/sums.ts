/**
 * Many float64 sums side by side, each with Neumaier's correction: the part that an addition rounds away is collected
 * in a carry and added at the end, so that 16 million terms are summed about as exactly as 16.
 * A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", ZAMM 54 (1974).
 */
export class Sums {
  private readonly totals: Float64Array;
  private readonly carries: Float64Array;

  constructor(count: number) {
    this.totals = new Float64Array(count);
    this.carries = new Float64Array(count);
  }

  add(index: number, term: number): void {
    const before = this.totals[index] as number;
    const after = before + term;
    const lost = Math.abs(before) >= Math.abs(term) ? before - after + term : term - after + before;
    this.totals[index] = after;
    this.carries[index] = (this.carries[index] as number) + lost;
  }

  /** The sums divided by `divisor`. */
  values(divisor = 1): Float64Array {
    // Once a total is infinite its carry is NaN (inf - inf); the total itself is then the answer.
    return this.totals.map((total, index) => {
      const carry = this.carries[index] as number;
      return (Number.isFinite(total) ? total + carry : total) / divisor;
    });
  }
}

// Expressions over time, one track at a time: vidfer/temporal/online.py, grid.py and networks/predictor.py.

export function softmax(logits) {
  const most = Math.max(...logits), powers = Array.from(logits, (value) => Math.exp(value - most));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

// Returns probabilities with something added to their logarithms, as the expected class shares are.
export const shifted = (probabilities, shift) =>
  softmax(probabilities.map((value, i) => Math.log(Math.max(value, 1e-9)) + shift[i]));

// The end of a grid of time that grows row by row: its nodes lie a step apart, and no later row counts for closed ones.
class Grid {
  constructor(about) {
    Object.assign(this, { about, rows: [], begin: 0, numClosed: 0, read: 0 });
  }

  left(row) { return Math.floor(row.position + this.about.tolerance); }

  get firstNode() { return this.left(this.rows[0]); }

  add(row) {
    const { stepSeconds, maxGapSeconds, gapSteps, tolerance, delaySteps } = this.about, last = this.rows.at(-1);
    Object.assign(row, { position: 0, coverage: stepSeconds });
    if (last) {
      const step = Math.min(row.seconds - last.seconds, maxGapSeconds);
      row.position = last.position + step / stepSeconds;
      row.coverage = Math.min(step, stepSeconds);
      if (row.position - last.position > gapSteps) row.position = this.begin = Math.ceil(row.position - tolerance);
    }
    this.rows.push(row);
    this.numClosed = Math.max(this.left(row), Math.trunc(this.begin) + 1);
    this.read = Math.max(row.position - delaySteps, this.begin);
  }

  forget() {
    while (this.rows.length > 1 && this.left(this.rows[1]) <= this.numClosed - this.about.keptNodes) this.rows.shift();
  }

  // Returns what the network reads at each node from `firstNode` on.
  nodes() {
    const { tolerance, gapSteps, stepSeconds } = this.about, first = this.firstNode, nodes = [];
    const node = (i) => (nodes[i] ??= { weight: 0, seconds: 0, sums: null, seen: false });
    const add = (i, share, row) => {
      const one = node(i), weight = share * row.coverage * (0.2 + 0.8 * Math.min(Math.max(row.quality, 0), 1));
      one.seen = true;
      one.seconds += share * row.coverage;
      one.weight += weight;
      one.sums ??= new Float64Array(row.values.length);
      for (let k = 0; k < row.values.length; k++) one.sums[k] += weight * row.values[k];
    };
    let begin = 0, before = -Infinity;
    for (const row of this.rows) {
      const position = row.position - first, left = Math.floor(position + tolerance);
      let share = Math.min(Math.max(position - left, 0), 1);
      if (share < tolerance) share = 0;
      if (position - before > gapSteps) begin = left;
      before = position;
      // The row that begins a stretch reads that node at once, so no other may count for it.
      add(left, left === begin && share > 0 ? 0 : 1 - share, row);
      if (share > 0) add(left + 1, share, row);
    }
    let last = null, lastNode = 0;
    return Array.from(nodes, (one, i) => {
      if (one?.seen) [last, lastNode] = [one, i];
      const values = Array.from(last.sums, (sum) => sum / Math.max(last.weight, 1e-12)), quality = values.pop();
      const coverage = Math.min((one?.seconds ?? 0) / stepSeconds, 1);
      return [...values, coverage, quality, Math.log1p(i - lastNode)];
    });
  }
}

// One track: the network's state at its last closed node, and the results that a row may read.
export class ExpressionStream {
  constructor(run, about) {
    Object.assign(this, { run, about, grid: new Grid(about), state: null, numDone: 0, results: [] });
  }

  // Returns probabilities of the next row, given its time, the per-frame network's vector and logits, and quality.
  async push(seconds, vector, logits, quality) {
    const { about, grid } = this;
    const logs = softmax(logits).map((value) => Math.max(Math.log(value), about.minLogProbability));
    grid.add({ seconds, quality, values: Float64Array.from([...vector, ...logs, ...logs.map(Math.exp), quality]) });
    if (grid.numClosed > this.numDone) {
      const closed = grid.nodes().slice(this.numDone - grid.firstNode, grid.numClosed - grid.firstNode);
      const [found, state] = await this.run(closed, this.state);
      this.state = state;
      this.results = [...this.results, ...found].slice(-about.readNodes);
      this.numDone = grid.numClosed;
      grid.forget();
    }
    const read = grid.read - (this.numDone - this.results.length), left = Math.floor(read + about.tolerance);
    const share = read - left < about.tolerance ? 0 : read - left, right = left + (share > 0);
    return softmax(this.results[left].map((value, k) => value * (1 - share) + this.results[right][k] * share));
  }
}

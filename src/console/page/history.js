// The history as the server keeps it: an hour of points of 10 s (coarse), five minutes of points of
// 1 s (fine, only since somebody looks). Kept here as columns that new points are appended to.

const KEPT = { coarse: 360, fine: 300 };

/** A column for each leaf of the server's object, all as long as `t`. */
class Range {
  constructor(kept) {
    this.kept = kept;
    this.clear();
  }

  clear() {
    this.t = [];
    this.columns = new Map(); // 'all/rate', 'tools/agent_spawn/p99_ms', 'heat/counts', 'cpu_percent'
    this.tools = [];
    this.bounds = [];
  }

  newest() {
    return this.t.length ? this.t[this.t.length - 1] : 0;
  }

  /** Appends the points that are newer than ours, whatever else the answer holds. */
  append(points) {
    const fresh = points.t.findIndex((t) => t > this.newest());
    if (points.heat?.bounds_ms) this.bounds = points.heat.bounds_ms;
    if (fresh < 0) return;
    const before = this.t.length;
    const seen = new Set();
    const add = (name, values) => {
      if (!Array.isArray(values)) return;
      let column = this.columns.get(name);
      // A tool that is new was nothing before.
      if (!column) this.columns.set(name, (column = new Array(before).fill(null)));
      for (let i = fresh; i < points.t.length; i++) column.push(values[i] ?? null);
      seen.add(name);
    };
    for (const [name, value] of Object.entries(points)) {
      if (name === 't' || value === null) continue;
      if (Array.isArray(value)) add(name, value);
      else if (name === 'heat') add('heat/counts', value.counts);
      else if (name === 'tools') {
        for (const [tool, columns] of Object.entries(value)) {
          for (const [key, values] of Object.entries(columns)) add(`tools/${tool}/${key}`, values);
        }
      } else {
        for (const [key, values] of Object.entries(value)) add(`${name}/${key}`, values);
      }
    }
    for (let i = fresh; i < points.t.length; i++) this.t.push(points.t[i]);
    const over = Math.max(0, this.t.length - this.kept);
    this.t.splice(0, over);
    for (const [name, column] of this.columns) {
      while (!seen.has(name) && column.length < this.t.length + over) column.push(null);
      column.splice(0, over);
      // What has been nothing for a whole range has gone.
      if (!seen.has(name) && column.every((value) => value === null)) this.columns.delete(name);
    }
    if (points.tools) this.tools = Object.keys(points.tools);
  }
}

export class History {
  constructor() {
    this.fine = new Range(KEPT.fine);
    this.coarse = new Range(KEPT.coarse);
    this.steps = { fine: 1, coarse: 10 };
  }

  clear() {
    this.fine.clear();
    this.coarse.clear();
  }

  merge(answer) {
    this.steps = { fine: answer.fine_step_s ?? 1, coarse: answer.step_s ?? 10 };
    if (answer.coarse) this.coarse.append(answer.coarse);
    if (answer.fine) this.fine.append(answer.fine);
  }

  get bounds() {
    return this.fine.bounds.length ? this.fine.bounds : this.coarse.bounds;
  }

  /**
   * What a chart of the last `seconds` draws: times, the length of each point's step, and a reader
   * of columns. A minute without a fine point shows the coarse ones, so that a page just opened
   * isn't blank. Where points are missing, a point of nulls breaks the line.
   */
  window(seconds) {
    const end = Math.max(this.fine.newest(), this.coarse.newest()) || Date.now() / 1000;
    const picks =
      seconds <= KEPT.fine * this.steps.fine
        ? this.picksOfBoth(end - seconds)
        : this.picks(this.coarse, end - seconds, this.steps.coarse);
    const broken = [];
    for (const pick of picks) {
      const last = broken[broken.length - 1];
      if (last && pick.t - last.t > 2.6 * Math.max(pick.step, last.step))
        broken.push({ t: last.t + last.step, step: last.step, range: null, i: 0 });
      broken.push(pick);
    }
    return {
      end,
      t: broken.map((pick) => pick.t),
      steps: broken.map((pick) => pick.step),
      column: (name) => broken.map(({ range, i }) => range?.columns.get(name)?.[i] ?? null),
    };
  }

  picks(range, from, step) {
    return range.t.flatMap((t, i) => (t > from ? [{ t, step, range, i }] : []));
  }

  picksOfBoth(from) {
    const fine = this.picks(this.fine, from, this.steps.fine);
    const coarse = this.picks(this.coarse, from, this.steps.coarse).filter(
      ({ t, step }) => fine.filter((near) => near.t > t - step && near.t <= t).length < 4,
    );
    return [...coarse, ...fine].sort((a, b) => a.t - b.t);
  }
}

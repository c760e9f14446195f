// Numbers as text. The server computes, this only writes: three digits that matter, a unit.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const none = '–';
const missing = (value) => value === null || value === undefined || Number.isNaN(value);

/** A count: 12,345. */
export function count(value) {
  return missing(value) ? none : whole.format(value);
}

/** A count that may be large: 12,345, 1.23M. */
export function compact(value) {
  if (missing(value) || value < 100_000) return count(value);
  return value < 1e6
    ? `${digits(value / 1e3)}k`
    : value < 1e9
      ? `${digits(value / 1e6)}M`
      : `${digits(value / 1e9)}G`;
}

/** Three digits: 0.123, 1.23, 12.3, 123, 1,234. */
export function digits(value) {
  if (missing(value)) return none;
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 99.95) return whole.format(value);
  return value.toFixed(size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3);
}

/** A number and its unit apart, for the big numbers. */
export const parts = {
  ms(value) {
    if (missing(value)) return [none, 'ms'];
    if (value === 0) return ['0', 'ms'];
    if (value < 0.9995) return [digits(value * 1000), 'µs'];
    if (value < 999.5) return [digits(value), 'ms'];
    if (value < 119_500) return [digits(value / 1000), 's'];
    if (value < 7_170_000) return [digits(value / 60_000), 'min'];
    return [digits(value / 3_600_000), 'h'];
  },
  bytes(value) {
    if (missing(value)) return [none, 'MiB'];
    let size = value;
    for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
      if (Math.abs(size) < 1000) return [unit === 'B' ? count(size) : digits(size), unit];
      size /= 1024;
    }
    return [digits(size), 'TiB'];
  },
  ratio: (value) => [missing(value) ? none : percentDigits(value * 100), '%'],
  percent: (value) => [missing(value) ? none : percentDigits(value), '%'],
  rate: (value) => [digits(value), '/s'],
  count: (value) => [count(value), ''],
};

// A percentage of 0.2 is not 0.200.
function percentDigits(value) {
  if (value === 0) return '0';
  return value >= 99.95 ? whole.format(value) : value.toFixed(value >= 10 ? 1 : 2);
}

const joined = (part) => (value) => {
  const [number, unit] = part(value);
  return number === none || unit === ''
    ? number
    : unit === '%' || unit === '/s'
      ? number + unit
      : `${number} ${unit}`;
};

export const ms = joined(parts.ms);
export const bytes = joined(parts.bytes);
export const ratio = joined(parts.ratio);
export const percent = joined(parts.percent);
export const rate = joined(parts.rate);

/** The same without zeros that say nothing, for axes and thresholds: 5% and 2 s, not 5.00% and 2.00 s. */
export const neat = (write) => (value) =>
  write(value)
    .replace(/(\.\d*?)0+(?=\D|$)/, '$1')
    .replace(/\.(?=\D|$)/, '');

const two = (n) => String(n).padStart(2, '0');

/** The viewer's own time of day: 03:10:05. */
export function clock(unixMs) {
  const at = new Date(unixMs);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The same with milliseconds. */
export function clockMs(unixMs) {
  const at = new Date(unixMs);
  return `${clock(unixMs)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** Date and time with milliseconds. */
export function moment(unixMs) {
  const at = new Date(unixMs);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clockMs(unixMs)}`;
}

/** A round length of time: 2 min, 90 s. */
export function period(seconds) {
  return seconds >= 60 && seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}

/** How long: 12 s, 3 m 20 s, 2 h 05 m, 4 d 3 h. */
export function span(seconds) {
  if (missing(seconds)) return none;
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} m`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** "1 line", "3 lines". */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

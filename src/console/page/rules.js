// The eight key rules: what each watches, how far it is from its threshold, and whether it fires.
// A sign beside each colour says the same to those who don't see colours.

import { bar, h, put, attr } from './dom.js';
import { digits, ratio, span, ms, neat, percent, period, plural } from './format.js';

const SIGNS = { ok: '●', pending: '◐', firing: '▲', no_data: '○' };
const WORDS = { ok: 'ok', pending: 'pending', firing: 'firing', no_data: 'no data' };

// What a rule's value is measured in.
const UNITS = { ratio, percent, seconds: (value) => ms(value * 1000), number: digits };

export function rulesPanel() {
  const list = h('ul', { class: 'rules' });
  const summary = h('span', { class: 'dim', role: 'status' }, 'waiting for the first numbers');
  const rows = new Map();
  const element = h(
    'section',
    { class: 'panel', 'aria-labelledby': 'rules-title' },
    h('div', { class: 'panel-head' }, h('h2', { id: 'rules-title' }, 'Key rules'), summary),
    list,
  );

  function row(rule) {
    const sign = h('span', { class: 'sign', 'aria-hidden': 'true' });
    const state = h('span', { class: 'rule-state' });
    const value = h('span', { class: 'rule-value' });
    const gauge = bar();
    const detail = h('span', { class: 'rule-detail dim' });
    const line = h(
      'li',
      { class: 'rule' },
      sign,
      h('span', { class: 'rule-name' }, rule.name),
      state,
      value,
      gauge.element,
      detail,
    );
    list.append(line);
    return { line, sign, state, value, gauge, detail };
  }

  return {
    element,
    state(rules) {
      for (const rule of rules) {
        if (!rows.has(rule.name)) rows.set(rule.name, row(rule));
        const parts = rows.get(rule.name);
        const unit = UNITS[rule.unit] ?? digits;
        attr(parts.line, 'data-state', rule.state);
        attr(parts.line, 'data-severity', rule.severity);
        put(parts.sign, SIGNS[rule.state] ?? '○');
        put(parts.state, WORDS[rule.state] ?? rule.state);
        put(parts.value, rule.value === null ? '–' : unit(rule.value));
        parts.gauge.set(rule.value === null ? 0 : rule.value / (rule.threshold || 1));
        const since =
          rule.since_unix_ms && (rule.state === 'firing' || rule.state === 'pending')
            ? `, since ${span((Date.now() - rule.since_unix_ms) / 1000)}`
            : '';
        put(
          parts.detail,
          `> ${neat(unit)(rule.threshold)}${rule.for_s ? ` for ${period(rule.for_s)}` : ''}${since} · ${rule.meaning}`,
        );
      }
      const firing = rules.filter((rule) => rule.state === 'firing');
      const pending = rules.filter((rule) => rule.state === 'pending').length;
      const text = firing.length
        ? `${firing.length} firing${pending ? `, ${pending} pending` : ''}`
        : pending
          ? `${pending} pending`
          : `${plural(rules.length, 'rule')}, none firing`;
      put(summary, text);
      attr(summary, 'data-firing', firing.length || null);
    },
  };
}

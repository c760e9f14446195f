#!/bin/sh
# Explores every interleaving of the lock-free rooms with loom.
#
#   scripts/model.sh            runs the models
#   scripts/model.sh --weaken   takes one ordering or one atomic step after the other away, in a
#                               copy of the tree, and demands that its model then fails
#
# Either takes the name of a room, shard or ring, and leaves the other out.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR="$target/loom"
export RUSTFLAGS="--cfg vitals_loom"

models() {
    cargo test --quiet --lib "$@"
}

weaken=
if [ "${1:-}" = --weaken ]; then
    weaken=yes
    shift
fi
only=${1:-}
case $only in
'' | shard | ring) ;;
*)
    echo "no such room: $only" >&2
    exit 2
    ;;
esac
if [ -z "$weaken" ]; then
    models "${only:+$only::}model"
    exit
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R Cargo.toml Cargo.lock src "$copy"
# Cargo looks for what the manifest names.
for place in benches examples tests macros; do
    if [ -d "$place" ]; then cp -R "$place" "$copy"; fi
done
tree=$PWD
cd "$copy"
# Cargo tells two trees of one package apart by the age of their files alone: a folder of its own,
# or a weakened build would be taken for the tree's.
export CARGO_TARGET_DIR="$target/loom-weakened"
touch src/lib.rs
# A model that fails anyway would prove nothing.
models "${only:+$only::}model"
failed=0

# weaken FILE MODEL FROM TO: FROM stands exactly once in FILE, which is in $room.
weaken() {
    [ "${only:-$room}" = "$room" ] || return 0
    file=src/$room/$1 model=$2
    if ! FROM=$3 TO=$4 awk '
        { text = text $0 "\n" }
        END {
            from = ENVIRON["FROM"]; to = ENVIRON["TO"]
            at = index(text, from)
            if (!at) exit 1
            tail = substr(text, at + length(from))
            if (index(tail, from)) exit 1
            printf "%s", substr(text, 1, at - 1) to tail
        }' "$tree/$file" > "$file"; then
        printf '%-9s %s: %s\n' "NO MATCH" "$file" "$3"
        failed=1
    else
        log=$copy/log
        if ! cargo test --quiet --lib --no-run > "$log" 2>&1; then
            verdict="NO BUILD"
        # One minute at most: a weakened model may also never come to an end.
        elif timeout 60 cargo test --quiet --lib "$room::model::$model" -- --exact \
            > "$log" 2>&1; then
            verdict=MISSED
            grep -q "^test result: ok. 1 passed" "$log" || verdict="NO MODEL"
        elif grep -q "^test result: FAILED. 0 passed; 1 failed" "$log"; then
            verdict=caught
        else
            verdict="NO END"
        fi
        [ "$verdict" = caught ] || failed=1
        printf '%-8s %-60s %s\n' "$verdict" "$model" "$(printf '%s' "$4" | head -n 1)"
    fi
    cp "$tree/$file" "$file"
}

room=shard
weaken exemplar.rs exemplar::a_candidate_is_read_whole \
    'turn.store(before.wrapping_add(1), Ordering::Relaxed);' '/* taken away */'
weaken exemplar.rs exemplar::a_candidate_is_read_whole \
    'fence(Ordering::Release);' '/* taken away */'
weaken exemplar.rs exemplar::a_candidate_is_read_whole \
    'turn.store(before.wrapping_add(2), Ordering::Release)' \
    'turn.store(before.wrapping_add(2), Ordering::Relaxed)'
weaken exemplar.rs exemplar::a_candidate_is_read_whole \
    'turn.load(Ordering::Acquire)' 'turn.load(Ordering::Relaxed)'
weaken exemplar.rs exemplar::a_candidate_is_read_whole \
    'fence(Ordering::Acquire);' '/* taken away */'
weaken exemplar.rs exemplar::a_candidate_is_read_whole \
    'turn.load(Ordering::Relaxed) == before' 'true'
weaken exemplar.rs exemplar::a_candidate_is_read_whole \
    ' || before % 2 == 1' ''
weaken cells.rs a_chunk_is_seen_whole \
    'Box::into_raw(chunk), Ordering::Release' 'Box::into_raw(chunk), Ordering::Relaxed'
weaken cells.rs a_chunk_is_seen_whole \
    'self.0[number].load(Ordering::Acquire)' 'self.0[number].load(Ordering::Relaxed)'
weaken cells.rs no_add_is_lost_and_no_scrape_goes_back \
    'cell.store(before.wrapping_add(n), Ordering::Relaxed)' \
    'cell.store(0, Ordering::Relaxed);
    cell.store(before.wrapping_add(n), Ordering::Relaxed)'
weaken cells.rs a_common_chunk_is_placed_once \
    '.compare_exchange(null, chunk, Ordering::Release, Ordering::Relaxed)' \
    '.compare_exchange(null, chunk, Ordering::Relaxed, Ordering::Relaxed)'
weaken cells.rs common_adds_are_not_lost \
    'cell.fetch_add(n, Ordering::Release)' 'add_owned(cell, n)'
weaken cells.rs a_balanced_up_down_is_never_negative \
    'cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Release' \
    'cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed'
weaken cells.rs a_balanced_up_down_is_never_negative \
    'sum(shards(), dec, Ordering::Acquire)' 'sum(shards(), dec, Ordering::Relaxed)'
weaken cells.rs a_balanced_up_down_is_never_negative \
    'let decs = sum(shards(), dec, Ordering::Acquire);' \
    'let incs = sum(shards(), inc, Ordering::Acquire);
    let decs = sum(shards(), dec, Ordering::Acquire);
    if true { return incs.wrapping_sub(decs) as i64; }'
weaken cells.rs a_balanced_up_down_is_never_negative_in_the_common_cells \
    'cell.fetch_add(n, Ordering::Release)' 'cell.fetch_add(n, Ordering::Relaxed)'
weaken cells.rs a_balanced_up_down_is_never_negative_over_a_new_shard \
    'let decs = sum(shards(), dec, Ordering::Acquire);' \
    'let listed: Vec<&Directory> = shards().collect();
    let shards = || listed.iter().copied();
    let decs = sum(shards(), dec, Ordering::Acquire);'
weaken cells.rs a_count_once_seen_stays \
    'cell.store(cell.load(Ordering::Relaxed) | bits, Ordering::Relaxed)' \
    'cell.store(bits, Ordering::Relaxed)'
weaken cells.rs common_marks_are_not_lost \
    'cell.fetch_or(bits, Ordering::Relaxed);' \
    'cell.store(cell.load(Ordering::Relaxed) | bits, Ordering::Relaxed);'
weaken cells.rs a_reused_run_begins_at_zero \
    'Slot(self.0.load(Ordering::Acquire))' 'Slot(self.0.load(Ordering::Relaxed))'
weaken cells.rs a_reused_run_begins_at_zero \
    'new.0, Ordering::AcqRel, Ordering::Acquire' 'new.0, Ordering::Relaxed, Ordering::Acquire'
weaken cells.rs a_reused_run_begins_at_zero \
    'new.0, Ordering::AcqRel, Ordering::Acquire' 'new.0, Ordering::Release, Ordering::Relaxed'
weaken cells.rs gauge_adds_are_not_lost \
    'match word.compare_exchange_weak(bits, sum, Ordering::Relaxed, Ordering::Relaxed) {' \
    'match Ok::<u64, u64>(bits).inspect(|_| word.store(sum, Ordering::Relaxed)) {'
weaken lease.rs a_shard_is_handed_over_with_its_values \
    'leased.store(false, Ordering::Release)' 'leased.store(false, Ordering::Relaxed)'
weaken lease.rs a_shard_is_handed_over_with_its_values \
    '(false, true, Ordering::Acquire, Ordering::Relaxed)' \
    '(false, true, Ordering::Relaxed, Ordering::Relaxed)'
weaken lease.rs a_free_shard_gets_one_owner \
    '&& self
                .leased
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()' \
    '&& { self.leased.store(true, Ordering::Relaxed); true }'
weaken lease.rs a_new_shard_is_seen_whole \
    'store(shard, Ordering::Release)' 'store(shard, Ordering::Relaxed)'
weaken lease.rs a_new_shard_is_seen_whole \
    'let shard = entry.load(Ordering::Acquire);
            // SAFETY: null or' \
    'let shard = entry.load(Ordering::Relaxed);
            // SAFETY: null or'
weaken lease.rs two_threads_never_share_a_shard \
    'let index = self
            .len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                (len < limit).then_some(len + 1)
            })
            .ok()?;' \
    'let index = self.len.load(Ordering::Relaxed);
        self.len.store(index + 1, Ordering::Relaxed);'
weaken count.rs count::handles_keep_their_owner \
    'fence(Ordering::Acquire);' '/* taken away */'
weaken count.rs count::handles_keep_their_owner \
    'let decs = total(1, Ordering::Acquire);' 'let decs = total(1, Ordering::Relaxed);'
weaken count.rs count::handles_keep_their_owner \
    'if arcs() != 1 {' \
    'let unheld = { let sums = [1, 0].map(|at| counts().map(|count|
        sum(shards(), count.offset(at), Ordering::Acquire)).sum::<u64>()); sums[0] == sums[1] };
    if unheld { return arcs() == 1; }
    if true {'
weaken count.rs count::handles_keep_their_owner \
    'let look = orphaned();
    dec();
    look' \
    'dec();
    orphaned()'
weaken cells.rs count::handles_keep_their_owner \
    'cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Release' \
    'cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed'
weaken cells.rs count::clones_keep_their_owner \
    'cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Release' \
    'cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed'
weaken count.rs count::clones_keep_their_owner \
    'let decs = total(1, Ordering::Acquire);
    decs == total(0, Ordering::Relaxed)' \
    'let incs = total(0, Ordering::Acquire);
    incs == total(1, Ordering::Acquire)'
weaken epoch.rs epoch::a_removed_series_takes_no_more_adds \
    '        // the retirer finds no pin.
        fence(Ordering::SeqCst);' '/* taken away */'
weaken epoch.rs epoch::a_removed_series_takes_no_more_adds \
    '        // the retirer finds no pin.
        fence(Ordering::SeqCst);' 'fence(Ordering::AcqRel);'
weaken epoch.rs epoch::a_removed_series_takes_no_more_adds \
    '        // SeqCst: the mark, then the look at the pins; the other half of the pin'"'"'s fence.
        fence(Ordering::SeqCst);' '/* taken away */'
weaken epoch.rs epoch::a_removed_series_takes_no_more_adds \
    '        // SeqCst: the mark, then the look at the pins; the other half of the pin'"'"'s fence.
        fence(Ordering::SeqCst);' 'fence(Ordering::AcqRel);'
weaken epoch.rs epoch::a_removed_series_takes_no_more_adds \
    'self.now.fetch_add(1, Ordering::Relaxed)' 'self.now.fetch_add(1, Ordering::Relaxed) - 1'
weaken epoch.rs epoch::a_removed_series_takes_no_more_adds \
    'self.0.store(0, Ordering::Release)' 'self.0.store(0, Ordering::Relaxed)'
weaken epoch.rs epoch::a_removed_series_takes_no_more_adds \
    'pin.0.load(Ordering::Acquire)' 'pin.0.load(Ordering::Relaxed)'
weaken epoch.rs epoch::an_add_before_a_removal_is_over_stops_it \
    'self.0.store(0, Ordering::Release)' 'self.0.store(0, Ordering::Relaxed)'
weaken epoch.rs epoch::an_add_before_a_removal_is_over_stops_it \
    '        // the retirer finds no pin.
        fence(Ordering::SeqCst);' '/* taken away */'
# What the caller must do, too.
weaken model/epoch.rs epoch::an_add_before_a_removal_is_over_stops_it \
    'self.epochs.oldest(self.pins.iter()) > stamp' 'self.epochs.oldest(self.pins.iter()) >= stamp'
weaken model/epoch.rs epoch::an_add_before_a_removal_is_over_stops_it \
    'world.is_over(stamp) && world.total() == before' 'world.is_over(stamp)'
weaken model/epoch.rs epoch::a_handle_made_under_a_pin_keeps_its_series \
    '&& level(|| world.cells(), inc, dec) == 0' '/* taken away */'
weaken epoch.rs epoch::an_idle_thread_delays_no_removal \
    '.filter(|&epoch| epoch != 0)' '/* taken away */'
weaken epoch.rs epoch::an_idle_thread_delays_no_removal \
    'self.now.fetch_add(1, Ordering::Relaxed)' 'self.now.fetch_add(1, Ordering::Relaxed) + 1'
weaken epoch.rs epoch::the_oldest_pin_holds_a_removal_back '.min()' '.max()'
weaken epoch.rs epoch::a_shard_that_was_made_meanwhile_is_asked_too \
    '        // the retirer finds no pin.
        fence(Ordering::SeqCst);' 'fence(Ordering::AcqRel);'
weaken model/epoch.rs epoch::a_shard_that_was_made_meanwhile_is_asked_too \
    'let stamp = epochs.retire();
        let over = epochs.oldest(pool.iter().map(|shard| &shard.pin)) > stamp;' \
    'let pins: Vec<_> = pool.iter().map(|shard| &shard.pin).collect();
        let stamp = epochs.retire();
        let over = epochs.oldest(pins.into_iter()) > stamp;'
weaken epoch.rs epoch::a_handle_made_under_a_pin_keeps_its_series \
    'self.0.store(0, Ordering::Release)' 'self.0.store(0, Ordering::Relaxed)'
weaken epoch.rs epoch::a_second_pin_shows_what_the_first_one_did \
    'pin.0.store(self.now.load(Ordering::Relaxed), Ordering::Release);' \
    'pin.0.store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);'
weaken index.rs index::what_moves_is_never_called_missing \
    '].load(Ordering::Acquire);
            if cell == 0' '].load(Ordering::Relaxed);
            if cell == 0'
weaken index.rs index::what_moves_is_never_called_missing \
    'fence(Ordering::Release);' ''
weaken index.rs index::what_moves_is_never_called_missing \
    'let changes = shard.changes.load(Ordering::Acquire);' \
    'let changes = shard.changes.load(Ordering::Relaxed);'
weaken index.rs index::what_moves_is_never_called_missing \
    'self.changes.store(before.wrapping_add(2), Ordering::Release);' \
    'self.changes.store(before.wrapping_add(2), Ordering::Relaxed);'
weaken index.rs index::what_moves_is_never_called_missing \
    'changes.is_multiple_of(2) && shard.changes' 'shard.changes'
weaken index.rs index::what_is_there_is_never_called_missing \
    'let current = self.current.load(Ordering::Acquire)' \
    'let current = self.current.load(Ordering::Relaxed)'
weaken index.rs index::a_place_is_found_with_its_labels \
    'cell.store(tag(hash) << PLACE_BITS | new, Ordering::Release);' \
    'cell.store(tag(hash) << PLACE_BITS | new, Ordering::Relaxed);'
room=ring
weaken cursor.rs frames_arrive_whole \
    'self.tail.0.store(tail, Ordering::Release)' 'self.tail.0.store(tail, Ordering::Relaxed)'
weaken cursor.rs frames_arrive_whole \
    'self.tail.0.load(Ordering::Acquire)' 'self.tail.0.load(Ordering::Relaxed)'
weaken cursor.rs no_reuse_while_read \
    'self.head.0.store(head, Ordering::Release)' 'self.head.0.store(head, Ordering::Relaxed)'
weaken cursor.rs no_reuse_while_read \
    'self.head.0.load(Ordering::Acquire)' 'self.head.0.load(Ordering::Relaxed)'
weaken cursor.rs a_lease_hands_over \
    'self.tail.0.store(tail, Ordering::Release)' 'self.tail.0.store(tail, Ordering::Relaxed)'
weaken cursor.rs a_lease_hands_over \
    'self.head.0.load(Ordering::Acquire)' 'self.head.0.load(Ordering::Relaxed)'
weaken parting.rs shared_frames_arrive_whole \
    'match tail.compare_exchange_weak(
                at,
                frame + length,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {' \
    'match Ok::<u64, u64>(at).inspect(|_| tail.store(frame + length, Ordering::Relaxed)) {'
weaken parting.rs shared_frames_arrive_whole \
    'word.store(first, Ordering::Release)' 'word.store(first, Ordering::Relaxed)'
weaken parting.rs shared_frames_arrive_whole \
    'word.load(Ordering::Acquire)' 'word.load(Ordering::Relaxed)'
weaken parting.rs shared_frames_arrive_whole '.filter(|&word| word != 0)' '/* taken away */'
weaken parting.rs shared_frames_arrive_whole \
    'at - head.load(Ordering::Acquire).min(at)' \
    'at.wrapping_sub(head.load(Ordering::Acquire))'
weaken parting.rs shared_room_comes_back_clean \
    'head.store(to, Ordering::Release)' 'head.store(to, Ordering::Relaxed)'
weaken parting.rs shared_room_comes_back_clean \
    'head.load(Ordering::Acquire)' 'head.load(Ordering::Relaxed)'
weaken parting.rs shared_room_comes_back_clean \
    'if length > to_end { at + to_end } else { at }' 'at'
weaken parting.rs shared_room_comes_back_clean \
    'frame + length - at + reserve > free' 'length + reserve > free'
weaken parting.rs shared_room_comes_back_clean \
    'frame + length - at + reserve > free' 'frame == u64::MAX'
weaken parting.rs shared_room_comes_back_clean \
    'frame + length,
                Ordering::Relaxed,' \
    'at + length,
                Ordering::Relaxed,'
weaken overwrite.rs overwritten_is_dropped \
    'self.tail.store(tail + length, Ordering::Release)' \
    'self.tail.store(tail + length, Ordering::Relaxed)'
weaken overwrite.rs overwritten_is_dropped \
    'let tail = self.tail.load(Ordering::Acquire)' 'let tail = self.tail.load(Ordering::Relaxed)'
weaken overwrite.rs overwritten_is_dropped \
    'fence(Ordering::Release);' '/* taken away */'
weaken overwrite.rs overwritten_is_dropped \
    'fence(Ordering::Acquire);' '/* taken away */'
weaken overwrite.rs overwritten_is_dropped \
    'fence(Ordering::Release);' 'fence(Ordering::Acquire);'
weaken overwrite.rs overwritten_is_dropped \
    'fence(Ordering::Acquire);' 'fence(Ordering::Release);'
weaken overwrite.rs overwritten_is_dropped \
    'fence(Ordering::Acquire);
        let oldest = self.oldest.load(Ordering::Relaxed);' \
    'let oldest = self.oldest.load(Ordering::Relaxed);
        fence(Ordering::Acquire);'
weaken overwrite.rs overwritten_is_dropped \
    'fence(Ordering::Acquire);
        let oldest = self.oldest.load(Ordering::Relaxed);' \
    'let oldest = begin;'
weaken overwrite.rs overwritten_is_dropped \
    'self.oldest.store(oldest, Ordering::Relaxed);
        // Release:' \
    '// Release:'
weaken overwrite.rs overwritten_is_dropped \
    'self.oldest.store(oldest, Ordering::Relaxed);
        // Release: whoever' \
    'let _late = Late(self, oldest);
        struct Late<'"'"'a>(&'"'"'a Overwrite, u64);
        impl Drop for Late<'"'"'_> {
            fn drop(&mut self) {
                self.0.oldest.store(self.1, Ordering::Relaxed);
            }
        }
        // Release: whoever'
weaken overwrite.rs a_lapped_reader_gets_nothing 'oldest.clamp(begin, tail)' 'oldest'
weaken overwrite.rs a_lapped_reader_gets_nothing '.max(from).min(tail)' '.max(from)'
# What the caller must do, too.
weaken model.rs no_reuse_while_read 'if tail + WORD > limit {' 'if tail + WORD > limit + WORD {'
weaken model.rs a_lease_hands_over \
    'if !std::mem::take(&mut *free.lock().unwrap()) {' 'if !*free.lock().unwrap() {'
weaken model.rs a_lease_hands_over \
    'let pushed = ring.push();
            *free.lock().unwrap() = true;' \
    '*free.lock().unwrap() = true;
            let pushed = ring.push();'
weaken model.rs shared_room_comes_back_clean \
    'word.first.store(0, Ordering::Relaxed);' '/* taken away */'
weaken model.rs shared_frames_arrive_whole 'while at < end {' 'loop {'
exit $failed

//! The column families of the state's database and how RocksDB treats them.
//!
//! Events are written once, in the order of their keys, and go in whole files; values are overwritten again and again.
//! Apart from each other, compaction moves files of events without reading them and has only values to merge. Both are
//! flushed together, so that a crash leaves one moment of both.

use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, LruCacheOptions, Options};

/// Values that are read again soon: what a write replaces, what is listed.
const CACHE_BYTES: usize = 32 << 20;
/// The cache is cut into two to the power of this many parts. What is larger than one of them, such as an index, is read from
/// its file again and again; RocksDB's own choice would be parts of half a MiB.
const CACHE_SHARD_BITS: i32 = 2;
/// Values from this size on lie in files of their own, and only where they lie is sorted and merged: a compaction
/// writes again a few of them (see [`TIDIED`]) instead of all. In bytes.
const APART_FROM: u64 = 512;
/// Of these files the oldest share gives up the values that are still of use when their keys are merged, and such a merge
/// is begun when so much of it is out of date.
const TIDIED: f64 = 0.1;
const OUT_OF_DATE: f64 = 0.5;
/// So many new files of keys are merged into the others at once. What is written lies anywhere among the others, so that each
/// merge goes through all of them; and each lookup asks the filters of all new files.
const NEW_FILES: i32 = 16;
/// Bytes of a file of keys. A merge goes through whole files, and moves those of their values that lie in the oldest share.
const KEY_FILE_BYTES: u64 = 2 << 20;
/// Of each column; all are flushed when one is full.
const WRITE_BUFFER_BYTES: usize = 32 << 20;

/// Bytes that are written to a file at once. Of large pieces the page cache makes large pages, which are seldom at hand; in a
/// guest whose host takes back what is free they cost more than all else of a flush.
const PIECE_BYTES: u64 = 64 << 10;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Values, marks and what has been applied.
    Data,
    /// Events by revision.
    History,
}

impl Column {
    pub(super) const ALL: [Self; 2] = [Self::Data, Self::History];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Data => rocksdb::DEFAULT_COLUMN_FAMILY_NAME,
            Self::History => "history",
        }
    }
}

/// Keeps a database's memory and its side files small.
pub(crate) fn small_footprint(options: &mut Options) {
    options.set_max_background_jobs(2);
    options.set_max_open_files(256);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_log_level(rocksdb::LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_max_manifest_file_size(16 << 20);
}

/// Of the database as a whole; `create` allows a new one where none is.
pub(super) fn options(create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_bytes_per_sync(1 << 20);
    options.set_writable_file_max_buffer_size(PIECE_BYTES);
    small_footprint(&mut options);
    options
}

/// The columns with their options.
pub(super) fn descriptors() -> Vec<ColumnFamilyDescriptor> {
    let mut cache = LruCacheOptions::default();
    cache.set_capacity(CACHE_BYTES);
    cache.set_num_shard_bits(CACHE_SHARD_BITS);
    let cache = Cache::new_lru_cache_opts(&cache);
    let columns = [(Column::Data, data(&cache)), (Column::History, history(&cache))];
    columns.into_iter().map(|(column, options)| ColumnFamilyDescriptor::new(column.name(), options)).collect()
}

fn column() -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(3);
    options.set_level_compaction_dynamic_level_bytes(true);
    // When it happens depends on real time, and what a snapshot sends on whether it has: a seed would not repeat.
    #[cfg(test)]
    options.set_disable_auto_compactions(turmoil::in_simulation());
    options
}

fn data(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = column();
    options.set_block_based_table_factory(&table);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(APART_FROM);
    options.set_enable_blob_gc(true);
    options.set_blob_gc_age_cutoff(TIDIED);
    options.set_blob_gc_force_threshold(OUT_OF_DATE);
    options.set_target_file_size_base(KEY_FILE_BYTES);
    options.set_level_zero_file_num_compaction_trigger(NEW_FILES);
    options.set_level_zero_slowdown_writes_trigger(NEW_FILES * 2);
    options.set_level_zero_stop_writes_trigger(NEW_FILES * 4);
    options
}

/// Read from front to back only.
fn history(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(64 << 10);
    let mut options = column();
    options.set_block_based_table_factory(&table);
    options
}

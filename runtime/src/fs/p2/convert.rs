//! Between the words of wasi:filesystem 0.2 and ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime_wasi::p2::{
    FsError,
    bindings::{
        clocks::wall_clock::Datetime,
        filesystem::types::{
            DescriptorStat, DescriptorType, ErrorCode, MetadataHashValue, NewTimestamp, PathFlags,
        },
    },
};

use crate::fs::{
    errno::Errno,
    node::{FileType, Ino, Stat},
    paths::NewTimes,
    walk::Last,
};

pub(super) fn last(flags: PathFlags) -> Last {
    if flags.contains(PathFlags::SYMLINK_FOLLOW) { Last::Follow } else { Last::Stay }
}

/// What a guest's C library makes its inode numbers of, where 0 can mean "none".
pub(super) fn hash(Ino(number): Ino) -> MetadataHashValue {
    MetadataHashValue { lower: number.saturating_add(1), upper: 0 }
}

pub(super) fn new_times(
    accessed: NewTimestamp,
    modified: NewTimestamp,
) -> Result<NewTimes, ErrorCode> {
    let time = |time| match time {
        NewTimestamp::NoChange => Ok(None),
        NewTimestamp::Now => Ok(Some(SystemTime::now())),
        NewTimestamp::Timestamp(Datetime { seconds, nanoseconds }) => {
            let time = Duration::from_secs(seconds)
                .checked_add(Duration::from_nanos(u64::from(nanoseconds)))
                .and_then(|since| UNIX_EPOCH.checked_add(since));
            time.map(Some).ok_or(ErrorCode::Overflow)
        }
    };
    Ok(NewTimes { accessed: time(accessed)?, modified: time(modified)? })
}

impl From<Stat> for DescriptorStat {
    fn from(stat: Stat) -> Self {
        let time = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).ok()?;
            Some(Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() })
        };
        Self {
            type_: stat.file_type.into(),
            link_count: stat.links,
            size: stat.size,
            data_access_timestamp: time(stat.times.accessed),
            data_modification_timestamp: time(stat.times.modified),
            status_change_timestamp: time(stat.times.changed),
        }
    }
}

impl From<FileType> for DescriptorType {
    fn from(file_type: FileType) -> Self {
        match file_type {
            FileType::Directory => Self::Directory,
            FileType::File => Self::RegularFile,
            FileType::Symlink => Self::SymbolicLink,
        }
    }
}

impl From<Errno> for FsError {
    fn from(error: Errno) -> Self {
        ErrorCode::from(error).into()
    }
}

impl From<Errno> for ErrorCode {
    fn from(error: Errno) -> Self {
        match error {
            Errno::BadDescriptor => Self::BadDescriptor,
            Errno::Busy => Self::Busy,
            Errno::Exist => Self::Exist,
            Errno::FileTooLarge => Self::FileTooLarge,
            Errno::Invalid => Self::Invalid,
            Errno::Io => Self::Io,
            Errno::IsDirectory => Self::IsDirectory,
            Errno::Loop => Self::Loop,
            Errno::NameTooLong => Self::NameTooLong,
            Errno::NoEntry => Self::NoEntry,
            Errno::NoSpace => Self::InsufficientSpace,
            Errno::NotDirectory => Self::NotDirectory,
            Errno::NotEmpty => Self::NotEmpty,
            Errno::NotPermitted => Self::NotPermitted,
            Errno::TooManyLinks => Self::TooManyLinks,
        }
    }
}

//! wasi:filesystem 0.2 over a [`Disk`].
//!
//! The traits and types are those that wasmtime-wasi generates. Its `Descriptor` and `DirectoryEntryStream` serve
//! as tags only: what lies in the resource table are this module's own types, and the table checks that by
//! itself, so a mix-up would be a trap.

mod convert;

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsError, FsResult,
    bindings::filesystem::{
        preopens,
        types::{
            self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
            ErrorCode, Filesize, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
        },
    },
};

use self::convert::{hash, last, new_times};
use super::{
    base::{APP, TMP},
    disk::{Disk, Handle},
    errno::Errno,
    node::FileType,
    paths::How,
    streams::{Reader, Writer},
};

/// What the host functions need of a dyno's state.
pub(crate) struct FilesView<'a> {
    pub(crate) disk: &'a Arc<Disk>,
    pub(crate) table: &'a mut ResourceTable,
}

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = FilesView<'a>;
}

/// Adds the interfaces of wasi:filesystem.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> FilesView<'_>,
) -> wasmtime::Result<()> {
    preopens::add_to_linker::<T, HasFiles>(linker, view)?;
    types::add_to_linker::<T, HasFiles>(linker, view)
}

/// What a guest's descriptor stands for.
struct Open {
    handle: Arc<Handle>,
    /// Everything that is not a directory is a file: symlinks cannot be opened.
    directory: bool,
    read: bool,
    write: bool,
}

/// A guest's way through a directory. It remembers a name and not a list, so that it costs the same for any
/// directory, and whatever is made or removed meanwhile moves no other entry.
struct Entries {
    handle: Arc<Handle>,
    after: Option<String>,
}

type Descriptor = Resource<types::Descriptor>;

impl FilesView<'_> {
    fn push(&mut self, open: Open) -> wasmtime::Result<Descriptor> {
        Ok(Resource::new_own(self.table.push(open)?.rep()))
    }

    fn get(&self, descriptor: &Descriptor) -> Result<&Open, FsError> {
        Ok(self.table.get(&Resource::<Open>::new_borrow(descriptor.rep()))?)
    }

    fn directory(&self, descriptor: &Descriptor) -> Result<&Arc<Handle>, FsError> {
        let open = self.get(descriptor)?;
        if open.directory { Ok(&open.handle) } else { Err(ErrorCode::NotDirectory.into()) }
    }

    fn file(&self, descriptor: &Descriptor) -> Result<&Open, FsError> {
        let open = self.get(descriptor)?;
        if open.directory { Err(ErrorCode::BadDescriptor.into()) } else { Ok(open) }
    }

    fn readable(&self, descriptor: &Descriptor) -> Result<&Arc<Handle>, FsError> {
        let open = self.get(descriptor)?;
        match open {
            Open { directory: true, .. } => Err(ErrorCode::IsDirectory.into()),
            Open { read: false, .. } => Err(ErrorCode::BadDescriptor.into()),
            Open { handle, .. } => Ok(handle),
        }
    }

    fn writable(&self, descriptor: &Descriptor) -> Result<&Arc<Handle>, FsError> {
        let open = self.file(descriptor)?;
        if open.write { Ok(&open.handle) } else { Err(ErrorCode::BadDescriptor.into()) }
    }

    fn output(
        &mut self,
        descriptor: &Descriptor,
        position: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let writer = Writer::new(Arc::clone(self.writable(descriptor)?), position);
        let writer: DynOutputStream = Box::new(writer);
        Ok(self.table.push(writer)?)
    }
}

impl preopens::Host for FilesView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Descriptor, String)>> {
        let mut directories = Vec::with_capacity(2);
        for (ino, name) in [(APP, "/app"), (TMP, "/tmp")] {
            let handle = Handle::root(self.disk, ino);
            let open = Open { handle, directory: true, read: true, write: true };
            directories.push((self.push(open)?, name.to_owned()));
        }
        Ok(directories)
    }
}

impl types::Host for FilesView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(self.table.get(&error)?.downcast_ref::<Errno>().map(|error| (*error).into()))
    }
}

impl types::HostDescriptor for FilesView<'_> {
    fn read_via_stream(
        &mut self,
        fd: Descriptor,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let reader = Reader::new(Arc::clone(self.readable(&fd)?), offset);
        let reader: DynInputStream = Box::new(reader);
        Ok(self.table.push(reader)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Descriptor,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.output(&fd, Some(offset))
    }

    fn append_via_stream(&mut self, fd: Descriptor) -> FsResult<Resource<DynOutputStream>> {
        self.output(&fd, None)
    }

    async fn advise(
        &mut self,
        fd: Descriptor,
        _: Filesize,
        _: Filesize,
        _: Advice,
    ) -> FsResult<()> {
        self.file(&fd).map(drop)
    }

    /// Nothing of a dyno outlives it, so there is nothing to make durable.
    async fn sync_data(&mut self, fd: Descriptor) -> FsResult<()> {
        self.get(&fd).map(drop)
    }

    async fn sync(&mut self, fd: Descriptor) -> FsResult<()> {
        self.get(&fd).map(drop)
    }

    async fn get_flags(&mut self, fd: Descriptor) -> FsResult<DescriptorFlags> {
        let open = self.get(&fd)?;
        let mut flags = DescriptorFlags::empty();
        if open.read {
            flags |= DescriptorFlags::READ;
        }
        if open.directory {
            flags |= DescriptorFlags::MUTATE_DIRECTORY;
        } else if open.write {
            flags |= DescriptorFlags::WRITE;
        }
        Ok(flags)
    }

    async fn get_type(&mut self, fd: Descriptor) -> FsResult<DescriptorType> {
        let directory = self.get(&fd)?.directory;
        Ok(if directory { DescriptorType::Directory } else { DescriptorType::RegularFile })
    }

    async fn set_size(&mut self, fd: Descriptor, size: Filesize) -> FsResult<()> {
        let open = self.file(&fd)?;
        if !open.write {
            return Err(ErrorCode::Invalid.into());
        }
        Ok(open.handle.set_size(size).await?)
    }

    async fn set_times(
        &mut self,
        fd: Descriptor,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let times = new_times(accessed, modified)?;
        Ok(self.get(&fd)?.handle.with(|volume, ino| volume.set_times(ino, times))?)
    }

    async fn read(
        &mut self,
        fd: Descriptor,
        len: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let handle = self.readable(&fd)?;
        let bytes = handle.read(offset, usize::try_from(len).unwrap_or(usize::MAX)).await?;
        let end = bytes.is_empty();
        Ok((bytes.into(), end))
    }

    async fn write(
        &mut self,
        fd: Descriptor,
        buffer: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        let len = buffer.len() as u64;
        self.writable(&fd)?.write(Some(offset), buffer.into()).await?;
        Ok(len)
    }

    async fn read_directory(
        &mut self,
        fd: Descriptor,
    ) -> FsResult<Resource<types::DirectoryEntryStream>> {
        let handle = Arc::clone(self.directory(&fd)?);
        let entries = self.table.push(Entries { handle, after: None })?;
        Ok(Resource::new_own(entries.rep()))
    }

    async fn create_directory_at(&mut self, fd: Descriptor, path: String) -> FsResult<()> {
        Ok(self.directory(&fd)?.with(|volume, ino| volume.create_directory(ino, &path))?)
    }

    async fn stat(&mut self, fd: Descriptor) -> FsResult<DescriptorStat> {
        Ok(self.get(&fd)?.handle.with(|volume, ino| volume.stat(ino))?.into())
    }

    async fn stat_at(
        &mut self,
        fd: Descriptor,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let stat = self.directory(&fd)?.with(|volume, ino| {
            let found = volume.find(ino, &path, last(flags))?;
            volume.stat(found)
        });
        Ok(stat?.into())
    }

    async fn set_times_at(
        &mut self,
        fd: Descriptor,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let times = new_times(accessed, modified)?;
        let set = self.directory(&fd)?.with(|volume, ino| {
            let found = volume.find(ino, &path, last(flags))?;
            volume.set_times(found, times)
        });
        Ok(set?)
    }

    async fn link_at(
        &mut self,
        fd: Descriptor,
        flags: PathFlags,
        old: String,
        new_fd: Descriptor,
        new: String,
    ) -> FsResult<()> {
        let to = self.directory(&new_fd)?.ino();
        let from = self.directory(&fd)?;
        Ok(from.with(|volume, ino| volume.link(ino, &old, last(flags), to, &new))?)
    }

    /// Flags that ask for synchronous writes are accepted: see [`sync_data`](Self::sync_data). Whether a
    /// directory may be changed is not asked for: guests' C libraries never set that flag.
    async fn open_at(
        &mut self,
        fd: Descriptor,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Descriptor> {
        let write = flags.contains(DescriptorFlags::WRITE);
        let how = How {
            follow: path_flags.contains(PathFlags::SYMLINK_FOLLOW),
            create: open_flags.contains(OpenFlags::CREATE),
            exclusive: open_flags.contains(OpenFlags::EXCLUSIVE),
            truncate: open_flags.contains(OpenFlags::TRUNCATE),
            directory: open_flags.contains(OpenFlags::DIRECTORY),
            write,
        };
        let handle = self.directory(&fd)?.open(&path, how).await?;
        let directory = handle.with(|volume, ino| volume.file_type(ino));
        let directory = directory == Some(FileType::Directory);
        let read = flags.contains(DescriptorFlags::READ) || !write;
        self.push(Open { handle, directory, read, write }).map_err(FsError::trap)
    }

    fn drop(&mut self, fd: Descriptor) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Open>::new_own(fd.rep()))?;
        Ok(())
    }

    async fn readlink_at(&mut self, fd: Descriptor, path: String) -> FsResult<String> {
        Ok(self.directory(&fd)?.with(|volume, ino| volume.read_symlink(ino, &path))?)
    }

    async fn remove_directory_at(&mut self, fd: Descriptor, path: String) -> FsResult<()> {
        Ok(self.directory(&fd)?.with(|volume, ino| volume.remove_directory(ino, &path))?)
    }

    async fn rename_at(
        &mut self,
        fd: Descriptor,
        old: String,
        new_fd: Descriptor,
        new: String,
    ) -> FsResult<()> {
        let to = self.directory(&new_fd)?.ino();
        let from = self.directory(&fd)?;
        Ok(from.with(|volume, ino| volume.rename(ino, &old, to, &new))?)
    }

    async fn symlink_at(&mut self, fd: Descriptor, target: String, path: String) -> FsResult<()> {
        let directory = self.directory(&fd)?;
        Ok(directory.with(|volume, ino| volume.create_symlink(&target, ino, &path))?)
    }

    async fn unlink_file_at(&mut self, fd: Descriptor, path: String) -> FsResult<()> {
        Ok(self.directory(&fd)?.with(|volume, ino| volume.unlink(ino, &path))?)
    }

    async fn is_same_object(&mut self, a: Descriptor, b: Descriptor) -> wasmtime::Result<bool> {
        let ino = |descriptor: &Descriptor| {
            let borrowed = Resource::<Open>::new_borrow(descriptor.rep());
            self.table.get(&borrowed).map(|open| open.handle.ino())
        };
        Ok(ino(&a)? == ino(&b)?)
    }

    async fn metadata_hash(&mut self, fd: Descriptor) -> FsResult<MetadataHashValue> {
        Ok(hash(self.get(&fd)?.handle.ino()))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Descriptor,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let directory = self.directory(&fd)?;
        Ok(hash(directory.with(|volume, ino| volume.find(ino, &path, last(flags)))?))
    }
}

impl types::HostDirectoryEntryStream for FilesView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let entries = self.table.get_mut(&Resource::<Entries>::new_borrow(stream.rep()))?;
        let after = entries.after.as_deref();
        let next = entries.handle.with(|volume, ino| {
            let (name, _, file_type) = volume.entry_after(ino, after)?;
            Some((name.to_owned(), file_type))
        });
        let Some((name, file_type)) = next else { return Ok(None) };
        entries.after = Some(name.clone());
        Ok(Some(DirectoryEntry { type_: file_type.into(), name }))
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(Resource::<Entries>::new_own(stream.rep()))?;
        Ok(())
    }
}

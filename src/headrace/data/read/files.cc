#include "headrace/data/read/files.h"

#include <arrow/buffer.h>
#include <arrow/filesystem/localfs.h>
#include <arrow/io/compressed.h>
#include <arrow/io/file.h>
#include <arrow/io/interfaces.h>
#include <arrow/util/compression.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "headrace/data/read/options.h"

namespace headrace {

namespace {

Result<arrow::Compression::type> CompressionOf(const ReadSource& source, const std::string& path) {
  std::string name = GetString(source.options, "compression", "infer");
  if (name != "infer") {
    return name == "none" ? arrow::Compression::UNCOMPRESSED
                          : arrow::util::Codec::GetCompressionType(name);
  }
  const std::size_t dot = path.find_last_of("./");
  if (dot == std::string::npos || path[dot] == '/') return arrow::Compression::UNCOMPRESSED;
  std::string extension = path.substr(dot + 1);
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == "gz") return arrow::Compression::GZIP;
  if (extension == "bz2") return arrow::Compression::BZ2;
  if (extension == "zst") return arrow::Compression::ZSTD;
  if (extension == "lz4") return arrow::Compression::LZ4_FRAME;
  if (extension == "br") return arrow::Compression::BROTLI;
  return arrow::Compression::UNCOMPRESSED;
}

arrow::MemoryPool* PoolOf(const TaskContext& context) {
  return context.pool ? context.pool : arrow::default_memory_pool();
}

Result<std::shared_ptr<arrow::Buffer>> ReadToEnd(arrow::io::InputStream* stream,
                                                 arrow::MemoryPool* pool) {
  constexpr std::int64_t kChunk = 1 << 20;
  arrow::BufferVector chunks;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto chunk, stream->Read(kChunk));
    if (chunk->size() == 0) break;
    chunks.push_back(std::move(chunk));
  }
  if (chunks.size() == 1) return chunks.front();
  return arrow::ConcatenateBuffers(chunks, pool);
}

}  // namespace

FileList FilesOf(const ReadUnit& unit) {
  if (unit.path.empty()) return nullptr;
  std::vector<std::string> files{unit.path};
  files.insert(files.end(), unit.more_paths.begin(), unit.more_paths.end());
  return std::make_shared<const std::vector<std::string>>(std::move(files));
}

bool IsLocal(const FileSystemRef& ref) {
  return (!ref.live && !ref.pickled) || (ref.live && ref.live->type_name() == "local");
}

Result<std::shared_ptr<arrow::fs::FileSystem>> ResolveFileSystem(const FileSystemRef& ref,
                                                                 const TaskContext& context) {
  if (ref.live) return ref.live;
  if (ref.pickled) {
    if (!context.functions) {
      return Status::Invalid("the file system came pickled, and there is no Python here");
    }
    return context.functions->ResolveFileSystem(ref);
  }
  static const auto local = std::make_shared<arrow::fs::LocalFileSystem>();
  return local;
}

Result<std::shared_ptr<arrow::io::RandomAccessFile>> OpenFile(const FileSystemRef& ref,
                                                              const std::string& path,
                                                              const TaskContext& context) {
  if (IsLocal(ref)) return arrow::io::ReadableFile::Open(path, PoolOf(context));
  ARROW_ASSIGN_OR_RAISE(auto file_system, ResolveFileSystem(ref, context));
  return file_system->OpenInputFile(path);
}

Result<std::shared_ptr<arrow::io::InputStream>> OpenStream(const ReadSource& source,
                                                           const std::string& path,
                                                           const TaskContext& context) {
  ARROW_ASSIGN_OR_RAISE(const arrow::Compression::type compression, CompressionOf(source, path));
  std::shared_ptr<arrow::io::InputStream> stream;
  if (IsLocal(source.file_system)) {
    ARROW_ASSIGN_OR_RAISE(stream, arrow::io::ReadableFile::Open(path, PoolOf(context)));
  } else {
    ARROW_ASSIGN_OR_RAISE(auto file_system, ResolveFileSystem(source.file_system, context));
    ARROW_ASSIGN_OR_RAISE(stream, file_system->OpenInputStream(path));
  }
  if (compression == arrow::Compression::UNCOMPRESSED) return stream;
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::util::Codec> codec,
                        arrow::util::Codec::Create(compression));
  return arrow::io::CompressedInputStream::Make(codec.get(), std::move(stream), PoolOf(context));
}

Result<std::shared_ptr<arrow::Buffer>> ReadWholeFile(const ReadSource& source,
                                                     const std::string& path, bool decompress,
                                                     const TaskContext& context) {
  ARROW_ASSIGN_OR_RAISE(const arrow::Compression::type compression, CompressionOf(source, path));
  if (decompress && compression != arrow::Compression::UNCOMPRESSED) {
    ARROW_ASSIGN_OR_RAISE(auto stream, OpenStream(source, path, context));
    return ReadToEnd(stream.get(), PoolOf(context));
  }
  ARROW_ASSIGN_OR_RAISE(auto file, OpenFile(source.file_system, path, context));
  ARROW_ASSIGN_OR_RAISE(const std::int64_t size, file->GetSize());
  // Files such as those of /proc say 0 and have content all the same.
  if (size == 0) return ReadToEnd(file.get(), PoolOf(context));
  return file->Read(size);
}

}  // namespace headrace

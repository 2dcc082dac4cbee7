#include "tests/core/durability/checkpoint_files.h"

#include <gtest/gtest.h>

#include <utility>

#include "core/durability/checkpoint_format.h"
#include "core/durability/checkpoint_reader.h"
#include "core/durability/checkpoint_writer.h"
#include "core/durability/file_checksum.h"
#include "core/durability/safetensors_reader.h"
#include "tests/support/fake_file_system.h"

namespace gradd {

absl::Status WriteCheckpoint(FileSystem* files, const std::string& path,
                             std::shared_ptr<const RunCapture> capture, int64_t slice) {
  CheckpointWriter::Options options;
  options.time = absl::FromUnixSeconds(1'700'000'000);
  options.sync_bytes = 1000;
  auto writer = CheckpointWriter::Begin(files, path, std::move(capture), options);
  if (!writer.ok()) return writer.status();
  for (;;) {
    const absl::StatusOr<bool> done = (*writer)->WriteSome(slice);
    if (!done.ok() || *done) return done.status();
  }
}

RunOrigin ThroughAFile(std::shared_ptr<const RunCapture> capture,
                       const RunEnvironment& environment) {
  FakeFileSystem files;
  const std::string uid = capture->state.uid();
  const absl::Status written = WriteCheckpoint(&files, "c", std::move(capture), /*slice=*/10'000);
  EXPECT_TRUE(written.ok()) << written;
  const auto verified = VerifyCheckpoint(&files, "c");
  EXPECT_TRUE(verified.ok()) << verified.status();
  RunOrigin origin;
  auto read = ReadCheckpoint(&files, "c", environment, uid);
  EXPECT_TRUE(read.ok()) << read.status();
  if (read.ok()) origin.capture = *std::move(read);
  return origin;
}

std::string Rewritten(const std::string& checkpoint,
                      const std::function<void(SafetensorsHeader* header,
                                               std::map<std::string, std::string>* data)>& change) {
  FakeFileSystem files;
  files.SetContents("c", checkpoint);
  const auto reader = *SafetensorsReader::Open(&files, "c");
  SafetensorsHeader header{reader->tensors(), reader->metadata()};
  std::map<std::string, std::string> data;
  for (const SafetensorsTensor& tensor : header.tensors) {
    data[tensor.name] = checkpoint.substr(static_cast<size_t>(reader->data_begin() + tensor.begin),
                                          static_cast<size_t>(tensor.end - tensor.begin));
  }
  change(&header, &data);
  if (header.metadata.count("xxh3") > 0)
    header.metadata["xxh3"] = MetadataChecksum(header.metadata);
  std::string file = *FormatSafetensorsHeader(&header);
  for (const SafetensorsTensor& tensor : header.tensors) {
    if (tensor.name == kChecksumTensor) {
      FileChecksum checksum;
      checksum.Add(file);
      data[tensor.name] = checksum.Finish();
    }
    file += data[tensor.name];
  }
  return file;
}

}  // namespace gradd

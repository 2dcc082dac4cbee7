#ifndef GRADD_CTL_TRANSFER_H_
#define GRADD_CTL_TRANSFER_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/console.h"
#include "gradd/v1/run_service.pb.h"

namespace gradd::ctl {

// `gradctl export`: writes a checkpoint of a run, or its parameters alone, to a file in the
// safetensors format. The file has its name when it is complete.
absl::Status Export(const CommandLine& line, Client* client, Console* console);

// Creates a run whose parameters are those of the file `line.from`, in the safetensors format: as
// `request` says, which has no layout where the file's is meant and no run where the file says that
// too.
absl::StatusOr<v1::Run> CreateFromFile(const CommandLine& line, const v1::CreateRunRequest& request,
                                       Client* client, Console* console);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_TRANSFER_H_

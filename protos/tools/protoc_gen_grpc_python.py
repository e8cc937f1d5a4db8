# SPDX-License-Identifier: Apache-2.0
"""A protoc plugin that makes the gRPC Python service stubs.

Why: grpcio-tools has this generator inside its protoc, not as a plugin, so buf cannot call it. This one takes
buf's request, hands the descriptors in it to that protoc, and answers with what it wrote, plus an ``__init__.py``
for each package (without one, tools that walk packages do not see the modules). Rejected: editing generated files,
and a second generator beside buf that would have to agree with it on files and options.
"""

import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

PACKAGE = (
    '# SPDX-License-Identifier: Apache-2.0\n"""Generated from protos/{folder} by `make generate`; do not edit."""\n'
)


def generate(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """The stubs of every requested file that has services, and one ``__init__.py`` for each folder of files."""
    response = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    wanted = set(request.file_to_generate)
    with_services = sorted(file.name for file in request.proto_file if file.name in wanted and file.service)
    with tempfile.TemporaryDirectory() as folder:
        descriptors, out = Path(folder, "descriptors"), Path(folder, "out")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        out.mkdir()
        arguments = ["protoc", f"--descriptor_set_in={descriptors}", f"--grpc_python_out={out}", *with_services]
        if with_services and (code := protoc.main(arguments)):
            response.error = f"grpc_tools.protoc failed with {code}"
            return response
        for path in sorted(out.rglob("*.py")):
            response.file.add(name=path.relative_to(out).as_posix(), content=path.read_text())
    for package in sorted({Path(name).parent.as_posix() for name in wanted}):
        response.file.add(name=f"{package}/__init__.py", content=PACKAGE.format(folder=package))
    return response


if __name__ == "__main__":
    answer = generate(CodeGeneratorRequest.FromString(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(answer.SerializeToString())

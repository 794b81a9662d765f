# Defuse on a CPU or, with `docker run --gpus all`, on NVIDIA GPUs (PyTorch's wheels bring CUDA).
#   docker build -t defuse .
#   docker run --rm -v "$PWD:/work" defuse run study.yaml
FROM python:3.12-slim
COPY . /opt/defuse
RUN pip install --no-cache-dir -c /opt/defuse/constraints.txt /opt/defuse \
    && rm -r /opt/defuse
ENV XDG_CACHE_HOME=/work/.cache
WORKDIR /work
ENTRYPOINT ["defuse"]

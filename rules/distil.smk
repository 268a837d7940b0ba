# Relational cross-modality distillation.


rule distil:
    """Distil the modalities of a teacher into fewer students."""
    input:
        unpack(inputs_of("student")),
    output:
        state=output_of("student"),
        metrics=beside("student", "metrics.csv"),
    log:
        log_of("student"),
    benchmark:
        timing_of("student")
    threads: COMPUTE.threads
    resources:
        gpu=COMPUTE.pretrain.gpu,
        mem_mb=COMPUTE.pretrain.mem_mb,
        runtime=COMPUTE.pretrain.runtime,
    params:
        settings=settings_of("student"),
        files=arguments_of("student"),
        options=ON_DEVICE,
    shell:
        RUN


rule students:
    """Distil every student of the config."""
    input:
        states_of("student"),

# Evaluation: embeddings of frozen encoders, and a rule for each registered evaluation, named as it is.
for name in ("embed", "embed_target"):

    rule:
        name:
            name
        input:
            unpack(inputs_of(name)),
        output:
            embeddings=output_of(name),
        log:
            log_of(name),
        benchmark:
            timing_of(name)
        threads: COMPUTE.threads
        resources:
            gpu=COMPUTE.evaluate.gpu,
            lsf_extra=lsf_options(COMPUTE.evaluate.gpu),
            mem_mb=COMPUTE.evaluate.mem_mb,
            runtime=COMPUTE.evaluate.runtime,
        params:
            settings=settings_of(name),
            files=arguments_of(name),
            options=ON_DEVICE,
        shell:
            RUN

    workflow.get_rule(name).docstring = JOB_TYPES[name].summary


for name in EVALUATIONS:

    rule:
        name:
            name
        input:
            unpack(inputs_of(name)),
        output:
            *[next_to(name, f"{{stem}}.{part}") for part in EVALUATIONS[name].keeps],
            rows=output_of(name),
            confusion=next_to(name, "{stem}.confusion.npz"),
            scores=next_to(name, "{stem}.scores.safetensors"),
        log:
            log_of(name),
        benchmark:
            timing_of(name)
        threads: COMPUTE.threads
        resources:
            gpu=COMPUTE.evaluate.gpu,
            lsf_extra=lsf_options(COMPUTE.evaluate.gpu),
            mem_mb=COMPUTE.evaluate.mem_mb,
            runtime=COMPUTE.evaluate.runtime,
        params:
            settings=settings_of(name),
            files=arguments_of(name),
            options=ON_DEVICE,
        shell:
            RUN

    workflow.get_rule(name).docstring = JOB_TYPES[name].summary


for name in EVALUATIONS:

    rule:
        name:
            f"all_{name}"
        input:
            outputs_of(name),

    workflow.get_rule(f"all_{name}").docstring = f"Every evaluation of kind {name}."


rule evaluate:
    """Run every evaluation that the config asks for."""
    input:
        outputs_of(*EVALUATIONS),

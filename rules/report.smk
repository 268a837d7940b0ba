# Gathering: the long table, tables, figures and the report.


rule gather:
    """Gather all results; results of other settings are refused by name."""
    input:
        rows=rows_of_tables,
    output:
        csv=results("tables/results.csv"),
        report=results("report.html"),
    log:
        results("logs/tables/gather.log"),
    benchmark:
        results("logs/tables/gather.benchmark.tsv")
    threads: 1
    resources:
        gpu=COMPUTE.report.gpu,
        mem_mb=COMPUTE.report.mem_mb,
        runtime=COMPUTE.report.runtime,
    params:
        plan=results("plan.json"),
        digest=PLAN.digest,
        tables=lambda wildcards, output: str(Path(output.csv).parent),
    shell:
        IKEM
        + " gather {params.plan:q} {params.tables:q} --digest {params.digest} --log {log:q}"


rule tables_so_far:
    """Tables of what is there: cells without a result stay empty and say why."""
    input:
        lambda wildcards: begin(),
    log:
        results("logs/tables/so_far.log"),
    threads: 1
    resources:
        gpu=COMPUTE.report.gpu,
        mem_mb=COMPUTE.report.mem_mb,
        runtime=COMPUTE.report.runtime,
    params:
        plan=results("plan.json"),
        tables=results("tables"),
    shell:
        IKEM + " gather {params.plan:q} {params.tables:q} --partial --log {log:q}"

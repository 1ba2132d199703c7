# Nothing here needs a provider: a test evaluates it with `terraform console` and compares it with what
# `python -m daemon.rights` makes of the same statements.

locals {
  rights = jsondecode(file("${path.module}/../iam/statements.json"))

  known_options = toset(local.rights.options.known)
  known_values  = toset(local.rights.values)

  # ARNs are told as "arn:${partition}:…": each name is replaced by its value.
  pieces = {
    for resource, templates in local.rights.arns : resource => [
      for template in templates : regexall("\\$\\{([a-z_]+)\\}|([^$]+)", template)
    ]
  }

  wanted = {
    for role in var.roles : role => [
      for statement in local.rights.roles[role] : statement
      if contains(var.sides, statement.side) && (statement.option == "" || contains(var.options, statement.option))
    ]
  }

  statements = {
    for role, chosen in local.wanted : role => [
      for statement in chosen : merge(
        {
          Sid    = statement.sid
          Effect = "Allow"
          Action = statement.actions
          Resource = [
            for pieces in local.pieces[statement.resource] :
            join("", [for piece in pieces : piece[0] == null || piece[0] == "" ? piece[1] : var.values[piece[0]]])
          ]
        },
        length(statement.condition) == 0 ? {} : { Condition = statement.condition },
      )
    ]
  }

  takes = length(var.takes_roles) == 0 ? [] : [
    { Sid = "Roles", Effect = "Allow", Action = "sts:AssumeRole", Resource = sort(tolist(var.takes_roles)) }
  ]

  # A role without a statement, as one of status in an account that holds the bucket only, is none.
  policies = {
    for role, chosen in local.statements : role => jsonencode({ Version = "2012-10-17", Statement = concat(chosen, local.takes) })
    if length(chosen) + length(local.takes) > 0
  }

  trusts = {
    for role in keys(local.policies) : role => lookup(var.trust_policies, role, jsonencode({
      Version = "2012-10-17"
      Statement = [merge(
        {
          Sid       = "MoveoutTakesIt"
          Effect    = "Allow"
          Action    = "sts:AssumeRole"
          Principal = { AWS = sort(tolist(lookup(var.trusted, role, toset([])))) }
        },
        var.external_id == null ? {} : { Condition = { StringEquals = { "sts:ExternalId" = var.external_id } } },
      )]
    }))
  }
}

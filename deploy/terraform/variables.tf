variable "sides" {
  description = "Sides of the move that this account holds: source, bucket, control, target, secret. All of them in a move within one account."
  type        = set(string)
  default     = ["source", "bucket", "control", "target", "secret"]

  validation {
    condition     = length(setsubtract(var.sides, ["source", "bucket", "control", "target", "secret"])) == 0
    error_message = "A side is one of source, bucket, control, target, secret."
  }
}

variable "roles" {
  description = "Who gets a role and a policy: service, backfill-worker, operator, status."
  type        = set(string)
  default     = ["service", "backfill-worker", "operator", "status"]

  validation {
    condition     = length(setsubtract(var.roles, ["service", "backfill-worker", "operator", "status"])) == 0
    error_message = "A role is one of service, backfill-worker, operator, status."
  }
}

variable "options" {
  description = "What the move uses, as `python -m daemon.rights --options` lists it. A policy allows nothing for the others."
  type        = set(string)
  default     = ["export-files", "heartbeat", "letters-s3", "target-dynamodb", "verify"]

  validation {
    condition     = length(setsubtract(var.options, local.known_options)) == 0
    error_message = "An option is not known: `python -m daemon.rights --options` lists them."
  }
}

variable "values" {
  description = "What the ARNs are made of: source_table, source_region, source_account, migration, … What no chosen statement names may be left out."
  type        = map(string)

  validation {
    condition     = alltrue([for name in keys(var.values) : contains(local.known_values, name)])
    error_message = "A value is not known: `python -m daemon.rights --values` lists them."
  }
}

variable "name_prefix" {
  description = "Of the names of roles and policies."
  type        = string
  default     = "moveout"
}

variable "trusted" {
  description = "Role -> ARNs that may take it. Leave a role out whose trust policy is given in trust_policies."
  type        = map(set(string))
  default     = {}
}

variable "external_id" {
  description = "What moveout is configured to tell (source.external_id, …) where the roles are of another account."
  type        = string
  default     = null
}

variable "trust_policies" {
  description = "Role -> a trust policy of your own, as JSON: EKS Pod Identity, IRSA, an instance."
  type        = map(string)
  default     = {}
}

variable "takes_roles" {
  description = "ARNs of roles in other accounts that these roles may take: source.role_arn and the like."
  type        = set(string)
  default     = []
}

variable "tags" {
  type    = map(string)
  default = {}
}
